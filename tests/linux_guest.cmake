# SPDX-License-Identifier: MIT
# A Linux guest by its memory.
vmtape_test(NAME kallsyms LABEL unit SOURCES unit/test_kallsyms.c unit/kallsyms_fixture.c LIBS vmtape-analyzer)
vmtape_test(NAME guest_memory LABEL unit SOURCES unit/test_guest_memory.c LIBS vmtape-analyzer)
vmtape_test(NAME btf LABEL unit SOURCES unit/test_btf.c LIBS vmtape-analyzer)
vmtape_test(NAME btf_layouts LABEL unit SOURCES unit/test_btf_layouts.c LIBS vmtape-analyzer)
vmtape_test(NAME linux_guest LABEL unit LIBS vmtape-analyzer
            SOURCES unit/test_linux_guest.c unit/linux_guest_fixture.c unit/kallsyms_fixture.c)
vmtape_test(NAME linux_mounts LABEL unit LIBS vmtape-analyzer
            SOURCES unit/test_linux_mounts.c unit/linux_guest_fixture.c unit/kallsyms_fixture.c)

vmtape_fuzz(NAME kallsyms LIBS vmtape-analyzer)
vmtape_fuzz(NAME btf LIBS vmtape-analyzer)
