# SPDX-License-Identifier: MIT

# Trap ring, records, capture plans.
vmtape_test(NAME trap_record LABEL unit SOURCES unit/test_trap_record.c LIBS vmtape-format)
vmtape_test(NAME trap_ring LABEL unit SOURCES unit/test_trap_ring.c LIBS vmtape-format)
vmtape_test(NAME hostile_room LABEL unit SOURCES unit/test_hostile_room.c LIBS vmtape-format Threads::Threads)
vmtape_test(NAME trap_ring_threads LABEL unit SOURCES unit/test_trap_ring_threads.c LIBS vmtape-format Threads::Threads)
vmtape_test(NAME trap_ring_model LABEL unit SOURCES unit/test_trap_ring_model.c LIBS vmtape-format TIMEOUT 600)
vmtape_test(NAME plan_text LABEL unit SOURCES unit/test_plan_text.c LIBS vmtape-format)
vmtape_test(NAME plan_exec LABEL unit SOURCES unit/test_plan_exec.c LIBS vmtape-format)
vmtape_test(NAME plan_validate LABEL unit SOURCES unit/test_plan_validate.c LIBS vmtape-format)
vmtape_fuzz(NAME trap_record LIBS vmtape-format)
vmtape_fuzz(NAME trap_ring LIBS vmtape-format)
vmtape_fuzz(NAME plan LIBS vmtape-format)
vmtape_fuzz(NAME plan_text LIBS vmtape-format)

# The tape.
vmtape_test(NAME tape_roundtrip LABEL unit SOURCES unit/test_tape_roundtrip.c unit/tape_fixture.c LIBS vmtape-format)
vmtape_test(NAME leaf_ids LABEL unit SOURCES unit/test_leaf_ids.c unit/tape_fixture.c LIBS vmtape-format)
vmtape_test(NAME tape_snapshot LABEL unit SOURCES unit/test_tape_snapshot.c unit/tape_fixture.c LIBS vmtape-format)
vmtape_test(NAME tape_ring LABEL unit SOURCES unit/test_tape_ring.c unit/tape_fixture.c LIBS vmtape-format
            TIMEOUT 1500)
vmtape_test(NAME tape_follow LABEL unit SOURCES unit/test_tape_follow.c unit/tape_fixture.c LIBS vmtape-format TIMEOUT 600)
vmtape_test(NAME tape_ahead LABEL unit SOURCES unit/test_tape_ahead.c unit/tape_fixture.c LIBS vmtape-format)
vmtape_test(NAME tape_million LABEL unit SOURCES unit/test_tape_million.c unit/tape_fixture.c LIBS vmtape-format)
vmtape_test(NAME tape_fault LABEL unit SOURCES unit/test_tape_fault.c unit/tape_fixture.c LIBS vmtape-format TIMEOUT 600)
vmtape_test(NAME tape_hostile LABEL unit SOURCES unit/test_tape_hostile.c unit/tape_fixture.c LIBS vmtape-format)
vmtape_test(NAME tape_key LABEL unit SOURCES unit/test_tape_key.c LIBS vmtape-format)
vmtape_test(NAME tape_seal LABEL unit SOURCES unit/test_tape_seal.c unit/seal_fixture.c unit/tape_fixture.c
            LIBS vmtape-format TIMEOUT 600)
vmtape_test(NAME tape_forged LABEL unit SOURCES unit/test_tape_forged.c unit/seal_fixture.c unit/tape_fixture.c
            LIBS vmtape-format)
vmtape_test(NAME tape_brief LABEL unit SOURCES unit/test_tape_brief.c unit/tape_fixture.c LIBS vmtape-format)
vmtape_test(NAME tape_compact LABEL unit SOURCES unit/test_tape_compact.c unit/tape_fixture.c LIBS vmtape-format)
vmtape_test(NAME tape_golden LABEL golden SOURCES unit/test_tape_golden.c unit/tape_fixture.c LIBS vmtape-format)
add_executable(make_golden EXCLUDE_FROM_ALL golden/make_golden.c unit/tape_fixture.c)
target_include_directories(make_golden PRIVATE ${CMAKE_CURRENT_SOURCE_DIR} unit)
target_link_libraries(make_golden PRIVATE vmtape-format)
find_program(PYTHON3 python3)
if(PYTHON3)
  foreach(name small-v1 small-v1-signed small-v1-layout2 ring-v1 cost-v1)
    add_test(NAME golden.tape_decode.${name}
             COMMAND ${PYTHON3} tools/tape_decode.py --expect golden/${name}.txt golden/${name}.vmt
             WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
    set_tests_properties(golden.tape_decode.${name} PROPERTIES LABELS golden)
  endforeach()
  # The second decoder compares each brief with the records.
  add_test(NAME unit.tape_decode_briefs
           COMMAND sh -c "'$<TARGET_FILE:test_tape_brief>' briefs.vmt && \
                          '${PYTHON3}' '${CMAKE_CURRENT_SOURCE_DIR}/tools/tape_decode.py' briefs.vmt >briefs.txt")
  set_tests_properties(unit.tape_decode_briefs PROPERTIES LABELS unit)
endif()
add_library(tape_repair STATIC fuzz/tape_repair.c)
target_link_libraries(tape_repair PUBLIC vmtape-format)
target_include_directories(tape_repair PUBLIC fuzz)
vmtape_fuzz(NAME tape RUNS 6000 LIBS tape_repair)
vmtape_fuzz(NAME tape_compact LIBS vmtape-format)
vmtape_fuzz(NAME tape_key LIBS vmtape-format)
