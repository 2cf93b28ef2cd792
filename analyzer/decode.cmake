# SPDX-License-Identifier: MIT
# What a Linux system call means: its arguments as text, and the capture plan that they need.
target_sources(vmtape-analyzer PRIVATE
  strbuf.c
  linux/arg_decode.c
  linux/arg_number.c
  linux/arg_pointer.c
  linux/arg_sets.c
  linux/arg_socket.c
  linux/arg_types.c
  linux/captured.c
  linux/errno_names.c
  linux/name_set.c
  linux/names_file.c
  linux/names_memory.c
  linux/names_process.c
  linux/names_signal.c
  linux/names_socket.c
  linux/names_terminal.c
  linux/plan_compile.c
  linux/records_file.c
  linux/records_number.c
  linux/records_process.c
  linux/records_terminal.c
  linux/records_time.c
  linux/ret_text.c
  linux/semantics.c
  linux/variants.c)
