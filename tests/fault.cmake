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
