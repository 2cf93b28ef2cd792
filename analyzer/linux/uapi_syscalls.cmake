# SPDX-License-Identifier: MIT
# cmake -DHEADER_x86_64=… -DHEADER_x32=… -DHEADER_i386=… -DOUTPUT=… -P uapi_syscalls.cmake
# Writes C arrays, system-call number to name, out of the installed asm/unistd_*.h: what users call them.
cmake_minimum_required(VERSION 3.25)

set(text "/* Made by uapi_syscalls.cmake from the installed kernel headers. */\n")
foreach(abi x86_64 x32 i386)
  file(STRINGS "${HEADER_${abi}}" lines REGEX "^#define[ \t]+__NR_")
  string(APPEND text "\nstatic const char *const uapi_${abi}[] = {\n")
  set(count 0)
  foreach(line IN LISTS lines)
    if(line MATCHES "__NR_([a-z0-9_]+)[ \t]+\\(?(__X32_SYSCALL_BIT[ \t]*\\+[ \t]*)?([0-9]+)\\)?[ \t]*$")
      string(APPEND text "\t[${CMAKE_MATCH_3}] = \"${CMAKE_MATCH_1}\",\n")
      math(EXPR count "${count} + 1")
    endif()
  endforeach()
  string(APPEND text "};\n")
  if(count LESS 300)
    message(FATAL_ERROR "${HEADER_${abi}}: only ${count} system calls found; is it a kernel header (linux-libc-dev)?")
  endif()
endforeach()
file(WRITE "${OUTPUT}" "${text}")
