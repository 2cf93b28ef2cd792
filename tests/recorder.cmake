# SPDX-License-Identifier: MIT
# Tests of vmtape-record: its parts, and the program itself against a fake VM that speaks the real protocol.
add_library(fake-vm STATIC unit/fake_vm.c unit/fake_vm_server.c unit/fake_vm_snapshot.c unit/record_run.c
            unit/service_run.c unit/socket_client.c)
target_include_directories(fake-vm PUBLIC ${CMAKE_CURRENT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/unit)
target_compile_definitions(fake-vm PRIVATE VMTAPE_RECORD_PATH="$<TARGET_FILE:vmtape-record>")
target_link_libraries(fake-vm PUBLIC vmtape-format Threads::Threads)
add_dependencies(fake-vm vmtape-record)

vmtape_test(NAME record_rings LABEL unit SOURCES unit/test_record_rings.c LIBS fake-vm TIMEOUT 600)
vmtape_test(NAME record_snapshots LABEL unit SOURCES unit/test_record_snapshots.c LIBS fake-vm TIMEOUT 600)
vmtape_test(NAME record_peers LABEL unit SOURCES unit/test_record_peers.c LIBS fake-vm TIMEOUT 600)
vmtape_test(NAME record_ends LABEL unit SOURCES unit/test_record_ends.c LIBS fake-vm TIMEOUT 600)
vmtape_test(NAME record_signed LABEL unit SOURCES unit/test_record_signed.c LIBS fake-vm TIMEOUT 600)
vmtape_test(NAME record_parts LABEL unit SOURCES unit/test_record_parts.c LIBS vmtape-recorder)
vmtape_test(NAME ring_memory LABEL unit SOURCES unit/test_ring_memory.c LIBS vmtape-recorder)
vmtape_test(NAME record_metrics LABEL unit SOURCES unit/test_record_metrics.c LIBS fake-vm vmtape-recorder TIMEOUT 600)
vmtape_test(NAME record_service LABEL unit SOURCES unit/test_record_service.c LIBS fake-vm TIMEOUT 600)
target_compile_definitions(test_record_service PRIVATE VMTAPE_PATH="$<TARGET_FILE:vmtape>")
add_dependencies(test_record_service vmtape)
vmtape_test(NAME tape_series LABEL unit SOURCES unit/test_tape_series.c LIBS vmtape-recorder)
vmtape_test(NAME record_rotate LABEL unit SOURCES unit/test_record_rotate.c LIBS fake-vm TIMEOUT 600)
target_compile_definitions(test_record_rotate PRIVATE VMTAPE_PATH="$<TARGET_FILE:vmtape>")
add_dependencies(test_record_rotate vmtape)
vmtape_test(NAME record_control LABEL unit SOURCES unit/test_record_control.c LIBS fake-vm vmtape-recorder TIMEOUT 600)
add_executable(record_everything unit/record_everything.c)
target_compile_definitions(record_everything PRIVATE VMTAPE_PATH="$<TARGET_FILE:vmtape>")
target_link_libraries(record_everything PRIVATE fake-vm)
add_dependencies(record_everything vmtape)
add_test(NAME unit.service_unit COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/tools/check_service
         ${PROJECT_BINARY_DIR}/recorder/vmtape-record@.service $<TARGET_FILE:vmtape-record>
         $<TARGET_FILE:record_everything> "${VMTAPE_SANITIZE}")
set_tests_properties(unit.service_unit PROPERTIES LABELS unit SKIP_RETURN_CODE 77 TIMEOUT 300)
vmtape_fuzz(NAME control LIBS vmtape-recorder)
