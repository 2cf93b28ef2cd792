# SPDX-License-Identifier: MIT

# Pairing, processes, times, filters, output.
add_library(call_fixture STATIC unit/call_fixture.c)
target_include_directories(call_fixture PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(call_fixture PUBLIC vmtape-analyzer)
vmtape_test(NAME u64_map LABEL unit SOURCES unit/test_u64_map.c LIBS vmtape-analyzer)
vmtape_test(NAME clock LABEL unit SOURCES unit/test_clock.c LIBS vmtape-analyzer)
vmtape_test(NAME pairing LABEL unit SOURCES unit/test_pairing.c LIBS call_fixture)
vmtape_test(NAME processes LABEL unit SOURCES unit/test_processes.c LIBS call_fixture)
vmtape_test(NAME ring_names LABEL unit SOURCES unit/test_ring_names.c unit/tape_fixture.c LIBS call_fixture)
vmtape_test(NAME memory_export LABEL unit SOURCES unit/test_memory_export.c unit/tape_fixture.c LIBS vmtape-analyzer)
vmtape_test(NAME tape_copy LABEL unit SOURCES unit/test_tape_copy.c unit/tape_fixture.c LIBS vmtape-analyzer)
vmtape_test(NAME call_groups LABEL unit SOURCES unit/test_call_groups.c LIBS call_fixture)
vmtape_test(NAME process_list LABEL unit SOURCES unit/test_process_list.c LIBS call_fixture)
vmtape_test(NAME filter LABEL unit SOURCES unit/test_filter.c LIBS vmtape-analyzer)
vmtape_fuzz(NAME filter LIBS vmtape-analyzer)
vmtape_test(NAME call_stream LABEL unit SOURCES unit/test_call_stream.c LIBS call_fixture)
vmtape_test(NAME output LABEL golden SOURCES unit/test_output.c LIBS call_fixture)

# The public interface, as a user's program sees it.
vmtape_test(NAME library LABEL unit SOURCES unit/test_library.c LIBS vmtape-shared call_fixture)
add_executable(count_calls ${PROJECT_SOURCE_DIR}/docs/examples/count_calls.c)
target_link_libraries(count_calls PRIVATE vmtape-shared)
add_test(NAME unit.library_exports
         COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/tools/check_exports ${CMAKE_NM} $<TARGET_FILE:vmtape-shared>)
set_tests_properties(unit.library_exports PROPERTIES LABELS unit)
add_test(NAME unit.command_usage COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/tools/check_usage $<TARGET_FILE:vmtape>
         $<TARGET_FILE:count_calls> ${CMAKE_CURRENT_SOURCE_DIR}/golden/small-v1.vmt)
set_tests_properties(unit.command_usage PROPERTIES LABELS unit)
if(PYTHON3)
  add_test(NAME unit.command_terminal COMMAND ${PYTHON3} ${CMAKE_CURRENT_SOURCE_DIR}/tools/check_terminal
           $<TARGET_FILE:vmtape> ${CMAKE_CURRENT_SOURCE_DIR}/golden/small-v1.vmt)
  set_tests_properties(unit.command_terminal PROPERTIES LABELS unit TIMEOUT 120)
endif()
add_test(NAME unit.install COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/tools/check_install ${PROJECT_BINARY_DIR} ${CMAKE_COMMAND}
         ${CMAKE_C_COMPILER} "${VMTAPE_SANITIZE}" ${PROJECT_SOURCE_DIR})
set_tests_properties(unit.install PROPERTIES LABELS unit)

# Records of any content, from the process table to every form of output.
vmtape_fuzz(NAME analysis LIBS call_fixture)
