# SPDX-License-Identifier: MIT
# Finds the libraries that vmtape stands on; what is missing is named all at once, with the package that brings it.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

set(missing "")

macro(need target module version package)
  pkg_check_modules(${target} QUIET IMPORTED_TARGET "${module}>=${version}")
  if(NOT ${target}_FOUND)
    list(APPEND missing "  ${module} >= ${version}: apt-get install ${package}")
  endif()
endmacro()

need(ZSTD libzstd 1.4 libzstd-dev)
need(XXHASH libxxhash 0.8 libxxhash-dev)
need(URING liburing 2.3 liburing-dev)
need(SODIUM libsodium 1.0.18 libsodium-dev)
need(LIBBPF libbpf 1.0 libbpf-dev)
need(SECCOMP libseccomp 2.5 libseccomp-dev)

# CRoaring: Debian 12's own is too old to validate untrusted bitmaps. scripts/deps unpacks a newer one under the
# cache, whose pkg-config file names the system's prefix: look for the files instead.
set(VMTAPE_DEPS "$ENV{HOME}/.cache/vmtape/deps" CACHE PATH "Where scripts/deps unpacked newer libraries")
find_path(ROARING_INCLUDE roaring/roaring.h HINTS "${VMTAPE_DEPS}/usr/include")
find_library(ROARING_LIBRARY NAMES roaring
             HINTS "${VMTAPE_DEPS}/usr/lib" PATH_SUFFIXES "${CMAKE_LIBRARY_ARCHITECTURE}")
set(roaring_major 0)
if(ROARING_INCLUDE AND EXISTS "${ROARING_INCLUDE}/roaring/roaring_version.h")
  file(STRINGS "${ROARING_INCLUDE}/roaring/roaring_version.h" line REGEX "ROARING_VERSION_MAJOR = [0-9]+")
  string(REGEX REPLACE ".*= ([0-9]+).*" "\\1" roaring_major "${line}")
endif()
if(NOT ROARING_LIBRARY OR roaring_major LESS 2)
  list(APPEND missing "  CRoaring >= 2 (found ${roaring_major}): run scripts/deps, which unpacks it under ${VMTAPE_DEPS}, or set ROARING_INCLUDE and ROARING_LIBRARY")
else()
  add_library(vmtape-roaring UNKNOWN IMPORTED)
  set_target_properties(vmtape-roaring PROPERTIES IMPORTED_LOCATION "${ROARING_LIBRARY}"
                        INTERFACE_INCLUDE_DIRECTORIES "${ROARING_INCLUDE}")
endif()

if(missing)
  list(JOIN missing "\n" text)
  message(FATAL_ERROR "Libraries are missing:\n${text}\nscripts/deps installs all of them on Debian 12.")
endif()
