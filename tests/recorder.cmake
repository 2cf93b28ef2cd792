# SPDX-License-Identifier: MIT
# Tests of vmtape-record: its parts, and the program itself against a fake VM that speaks the real protocol.
add_library(fake-vm STATIC unit/fake_vm.c unit/fake_vm_server.c unit/fake_vm_snapshot.c unit/record_run.c)
target_include_directories(fake-vm PUBLIC ${CMAKE_CURRENT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/unit)
target_compile_definitions(fake-vm PRIVATE VMTAPE_RECORD_PATH="$<TARGET_FILE:vmtape-record>")
target_link_libraries(fake-vm PUBLIC vmtape-format Threads::Threads)
add_dependencies(fake-vm vmtape-record)

vmtape_test(NAME record_rings LABEL unit SOURCES unit/test_record_rings.c LIBS fake-vm TIMEOUT 600)
vmtape_test(NAME record_snapshots LABEL unit SOURCES unit/test_record_snapshots.c LIBS fake-vm TIMEOUT 600)
vmtape_test(NAME record_peers LABEL unit SOURCES unit/test_record_peers.c LIBS fake-vm TIMEOUT 600)
vmtape_test(NAME record_ends LABEL unit SOURCES unit/test_record_ends.c LIBS fake-vm TIMEOUT 600)
vmtape_test(NAME held_pages LABEL unit SOURCES unit/test_held_pages.c LIBS vmtape-recorder)
vmtape_test(NAME record_parts LABEL unit SOURCES unit/test_record_parts.c LIBS vmtape-recorder)
vmtape_test(NAME ring_memory LABEL unit SOURCES unit/test_ring_memory.c LIBS vmtape-recorder)
