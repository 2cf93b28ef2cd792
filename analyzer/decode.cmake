# SPDX-License-Identifier: MIT
# What a Linux system call means: its arguments as text, and the capture plan that they need.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
set(names_source ${CMAKE_CURRENT_BINARY_DIR}/generated/uapi_names.c)
set(names_header ${CMAKE_CURRENT_BINARY_DIR}/generated/uapi_names.h)
add_custom_command(OUTPUT ${names_source} ${names_header}
  COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/linux/uapi_names.py ${CMAKE_C_COMPILER}
          ${CMAKE_CURRENT_SOURCE_DIR}/linux/uapi_names.rules ${names_source} ${names_header}
  DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/linux/uapi_names.py ${CMAKE_CURRENT_SOURCE_DIR}/linux/uapi_names.rules
          ${UNISTD_x86_64}
  COMMENT "Names of flags and requests of the installed headers" VERBATIM)
target_include_directories(vmtape-analyzer PUBLIC ${CMAKE_CURRENT_BINARY_DIR}/generated)
target_sources(vmtape-analyzer PRIVATE ${names_source} ${names_header}
  strbuf.c
  linux/arg_decode.c
  linux/arg_message.c
  linux/arg_number.c
  linux/arg_pointer.c
  linux/arg_sets.c
  linux/arg_socket.c
  linux/arg_structs.c
  linux/arg_types.c
  linux/call_meaning.c
  linux/captured.c
  linux/errno_names.c
  linux/fd_records.c
  linux/multiplexed.c
  linux/name_set.c
  linux/names_unexported.c
  linux/plan_compile.c
  linux/plan_steps.c
  linux/record_fields.c
  linux/records_bpf.c
  linux/records_file.c
  linux/records_i386.c
  linux/records_ipc.c
  linux/records_kernel.c
  linux/records_net.c
  linux/records_number.c
  linux/records_process.c
  linux/records_terminal.c
  linux/records_time.c
  linux/ret_text.c
  linux/semantics.c
  linux/semantics_i386.c
  linux/semantics_kernel.c
  linux/variants.c
  linux/variants_kernel.c)
