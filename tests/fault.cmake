# SPDX-License-Identifier: MIT
# Faults, one program each. Short unless VMTAPE_LONG is set. fault.record_* need vmtape-record, fault.tape_* the reader.
add_library(fault-rig STATIC fault/fault_rig.c)
target_include_directories(fault-rig PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/fault)
target_link_libraries(fault-rig PUBLIC fake-vm)

vmtape_test(NAME record_kill LABEL fault SOURCES fault/test_fault_kill.c LIBS fault-rig TIMEOUT 900)
vmtape_test(NAME record_full LABEL fault SOURCES fault/test_fault_full.c LIBS fault-rig TIMEOUT 900)
vmtape_test(NAME record_disk LABEL fault SOURCES fault/test_fault_disk.c fault/fault_fuse.c LIBS fault-rig TIMEOUT 900)
vmtape_test(NAME record_stop LABEL fault SOURCES fault/test_fault_stop.c LIBS fault-rig TIMEOUT 900)
vmtape_test(NAME record_two LABEL fault SOURCES fault/test_fault_two.c LIBS fault-rig TIMEOUT 900)

add_library(tape-reading STATIC fault/tape_reading.c)
target_include_directories(tape-reading PUBLIC ${CMAKE_CURRENT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/fault)
target_link_libraries(tape-reading PUBLIC vmtape-format)
vmtape_test(NAME tape_bytes LABEL fault SOURCES fault/test_fault_bytes.c LIBS fault-rig tape-reading TIMEOUT 3600)
vmtape_test(NAME tape_garbage LABEL fault SOURCES fault/test_fault_garbage.c LIBS fault-rig tape-reading TIMEOUT 3600)
target_compile_definitions(test_tape_garbage PRIVATE VMTAPE_PATH="$<TARGET_FILE:vmtape>")
add_dependencies(test_tape_garbage vmtape)
vmtape_test(NAME record_peer LABEL fault SOURCES fault/test_fault_peer.c LIBS fault-rig TIMEOUT 3600)

add_library(fault-clock MODULE fault/fault_clock.c)
vmtape_test(NAME record_clock LABEL fault SOURCES fault/test_fault_clock.c LIBS fault-rig TIMEOUT 900)
target_compile_definitions(test_record_clock PRIVATE VMTAPE_PATH="$<TARGET_FILE:vmtape>"
                           FAULT_CLOCK_PATH="$<TARGET_FILE:fault-clock>")
add_dependencies(test_record_clock vmtape fault-clock)
