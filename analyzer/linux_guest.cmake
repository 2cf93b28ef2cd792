# SPDX-License-Identifier: MIT
# A Linux guest by its memory.
foreach(pair x86_64:64 x32:x32 i386:32)
  string(REPLACE ":" ";" pair "${pair}")
  list(GET pair 0 abi)
  list(GET pair 1 suffix)
  find_file(UNISTD_${abi} asm/unistd_${suffix}.h)
  if(NOT UNISTD_${abi})
    message(FATAL_ERROR "asm/unistd_${suffix}.h of x86 is missing: apt-get install linux-libc-dev")
  endif()
  list(APPEND unistd_args -DHEADER_${abi}=${UNISTD_${abi}})
  list(APPEND unistd_headers ${UNISTD_${abi}})
endforeach()
set(unistd_out ${CMAKE_CURRENT_BINARY_DIR}/generated/uapi_syscalls.inc)
add_custom_command(OUTPUT ${unistd_out}
  COMMAND ${CMAKE_COMMAND} ${unistd_args} -DOUTPUT=${unistd_out}
          -P ${CMAKE_CURRENT_SOURCE_DIR}/linux/uapi_syscalls.cmake
  DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/linux/uapi_syscalls.cmake ${unistd_headers}
  COMMENT "System-call names of the installed kernel headers" VERBATIM)
target_sources(vmtape-analyzer PRIVATE ${unistd_out}
  linux/btf_layouts.c
  linux/btf_types.c
  linux/kallsyms.c
  linux/kernel_image.c
  linux/kernel_scan.c
  linux/linux_fds.c
  linux/linux_guest.c
  linux/linux_identify.c
  linux/linux_mounts.c
  linux/linux_paths.c
  linux/linux_state.c
  linux/linux_syscalls.c
  linux/linux_tasks.c
  linux/linux_vmas.c
  linux/vmcoreinfo.c
  linux/syscalls_meta.c
  linux/syscalls_uapi.c)
target_include_directories(vmtape-analyzer PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/generated)
