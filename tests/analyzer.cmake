# SPDX-License-Identifier: MIT

# Pairing, processes, times, filters, output.
add_library(call_fixture STATIC unit/call_fixture.c)
target_include_directories(call_fixture PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(call_fixture PUBLIC vmtape-analyzer)
vmtape_test(NAME u64_map LABEL unit SOURCES unit/test_u64_map.c LIBS vmtape-analyzer)
vmtape_test(NAME clock LABEL unit SOURCES unit/test_clock.c LIBS vmtape-analyzer)
vmtape_test(NAME pairing LABEL unit SOURCES unit/test_pairing.c LIBS call_fixture)
vmtape_test(NAME processes LABEL unit SOURCES unit/test_processes.c LIBS call_fixture)
vmtape_test(NAME process_regions LABEL unit SOURCES unit/test_process_regions.c LIBS vmtape-analyzer)
vmtape_test(NAME process_fds LABEL unit SOURCES unit/test_process_fds.c unit/fds_fixture.c LIBS call_fixture)
vmtape_test(NAME renamed_fds LABEL unit SOURCES unit/test_renamed_fds.c unit/fds_fixture.c LIBS call_fixture)
vmtape_test(NAME linked_fds LABEL unit SOURCES unit/test_linked_fds.c unit/fds_fixture.c LIBS call_fixture)
vmtape_test(NAME doubted_fds LABEL unit SOURCES unit/test_doubted_fds.c unit/fds_fixture.c LIBS call_fixture)
vmtape_test(NAME mounted_fds LABEL unit SOURCES unit/test_mounted_fds.c unit/fds_fixture.c LIBS call_fixture)
vmtape_test(NAME passed_fds LABEL unit SOURCES unit/test_passed_fds.c unit/fds_fixture.c LIBS call_fixture)
vmtape_test(NAME ring_names LABEL unit SOURCES unit/test_ring_names.c unit/tape_fixture.c LIBS call_fixture)
vmtape_test(NAME memory_export LABEL unit SOURCES unit/test_memory_export.c unit/tape_fixture.c LIBS vmtape-analyzer)
vmtape_test(NAME tape_copy LABEL unit SOURCES unit/test_tape_copy.c unit/tape_fixture.c LIBS vmtape-analyzer)
vmtape_test(NAME call_groups LABEL unit SOURCES unit/test_call_groups.c LIBS call_fixture)
vmtape_test(NAME process_list LABEL unit SOURCES unit/test_process_list.c LIBS call_fixture)
vmtape_test(NAME filter LABEL unit SOURCES unit/test_filter.c LIBS vmtape-analyzer)
vmtape_fuzz(NAME filter LIBS vmtape-analyzer)
vmtape_test(NAME cut_choice LABEL unit SOURCES unit/test_cut_choice.c unit/tape_fixture.c LIBS call_fixture)
vmtape_test(NAME call_stream LABEL unit SOURCES unit/test_call_stream.c LIBS call_fixture)
# "record" of the name: one of those that run under ThreadSanitizer.
vmtape_test(NAME records_threads LABEL unit SOURCES unit/test_records_threads.c LIBS call_fixture)
vmtape_test(NAME call_pool LABEL golden SOURCES unit/test_call_pool.c LIBS call_fixture)
# It takes memory away from the reader.
target_link_options(test_call_pool PRIVATE -Wl,--wrap=tape_cursor_next)
vmtape_test(NAME skip_plan LABEL unit SOURCES unit/test_skip_plan.c unit/skip_compare.c LIBS call_fixture)
vmtape_test(NAME skip_edges LABEL unit SOURCES unit/test_skip_edges.c unit/skip_compare.c LIBS call_fixture)
vmtape_test(NAME output LABEL golden SOURCES unit/test_output.c LIBS call_fixture)

vmtape_test(NAME sandbox LABEL unit SOURCES unit/test_sandbox.c ${PROJECT_SOURCE_DIR}/analyzer/sandbox.c
            LIBS vmtape-analyzer PkgConfig::SECCOMP)

add_test(NAME unit.confined COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/tools/check_confined $<TARGET_FILE:vmtape>
         ${CMAKE_CURRENT_SOURCE_DIR}/golden/small-v1.vmt)
set_tests_properties(unit.confined PROPERTIES LABELS unit SKIP_RETURN_CODE 77 TIMEOUT 120)

# The public interface, as a user's program sees it.
vmtape_test(NAME library LABEL unit SOURCES unit/test_library.c LIBS vmtape-shared call_fixture)
add_library(guest_tape STATIC unit/guest_tape.c unit/tape_fixture.c unit/linux_guest_fixture.c unit/kallsyms_fixture.c)
target_include_directories(guest_tape PUBLIC ${CMAKE_CURRENT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/unit)
target_link_libraries(guest_tape PUBLIC call_fixture)
vmtape_test(NAME library_guest LABEL unit SOURCES unit/test_library_guest.c LIBS vmtape-shared guest_tape)
add_executable(make_guest_tape unit/make_guest_tape.c)
target_link_libraries(make_guest_tape PRIVATE guest_tape)
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

# The examples of the document on hooks, as they stand there, and the Python module.
find_package(Python3 3.10 QUIET COMPONENTS Interpreter)
# Python takes the runtime of gcc's AddressSanitizer, and no other sanitizer's.
if(Python3_FOUND AND (NOT VMTAPE_SANITIZE OR (VMTAPE_SANITIZE MATCHES "address" AND CMAKE_C_COMPILER_ID STREQUAL GNU)))
  set(python_tests ON)
endif()
if(python_tests)
  add_test(NAME unit.hooks_doc COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/unit/hooks_doc_test.py
           ${PROJECT_BINARY_DIR} ${CMAKE_COMMAND} ${CMAKE_C_COMPILER} "${VMTAPE_SANITIZE}"
           ${PROJECT_SOURCE_DIR}/docs/hooks.md $<TARGET_FILE:make_guest_tape> "$<TARGET_EXISTS:vmtape-python>")
  set_tests_properties(unit.hooks_doc PROPERTIES LABELS unit TIMEOUT 300)
endif()
if(Python3_FOUND AND NOT VMTAPE_SANITIZE)
  add_test(NAME unit.strace_compare
           COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/unit/strace_compare_test.py)
  set_tests_properties(unit.strace_compare PROPERTIES LABELS unit)
endif()
if(TARGET vmtape-python AND python_tests)
  # A Python that is not built with the sanitizer gets its runtime beforehand, and leaks of its own.
  set(python_env PYTHONPATH=$<TARGET_FILE_DIR:vmtape>/python PYTHONDONTWRITEBYTECODE=1)
  if(VMTAPE_SANITIZE MATCHES "address")
    execute_process(COMMAND ${CMAKE_C_COMPILER} -print-file-name=libasan.so OUTPUT_VARIABLE asan_runtime
                    OUTPUT_STRIP_TRAILING_WHITESPACE)
    list(APPEND python_env LD_PRELOAD=${asan_runtime} ASAN_OPTIONS=detect_leaks=0)
  endif()
  add_test(NAME unit.python_module COMMAND Python3::Interpreter
           ${CMAKE_CURRENT_SOURCE_DIR}/unit/python_module_test.py $<TARGET_FILE:vmtape> $<TARGET_FILE:make_guest_tape>)
  set_tests_properties(unit.python_module PROPERTIES LABELS unit TIMEOUT 300 ENVIRONMENT "${python_env}")
endif()

# Records of any content, from the process table to every form of output.
vmtape_fuzz(NAME analysis LIBS call_fixture)
add_library(tape_fixture STATIC unit/tape_fixture.c)
target_link_libraries(tape_fixture PUBLIC vmtape-analyzer)
target_include_directories(tape_fixture PUBLIC unit fuzz ${CMAKE_CURRENT_SOURCE_DIR})
vmtape_fuzz(NAME memory_read RUNS 2000 LIBS tape_fixture vmtape-public)
vmtape_fuzz(NAME memory_export RUNS 700 LIBS vmtape-analyzer tape_repair)
vmtape_fuzz(NAME tape_copy RUNS 250 LIBS vmtape-analyzer tape_repair)
