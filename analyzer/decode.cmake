# SPDX-License-Identifier: MIT
# What a Linux system call means: its arguments as text, and the capture plan that they need.
target_sources(vmtape-analyzer PRIVATE
  strbuf.c)
