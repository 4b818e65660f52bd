# The guest that accel.rs runs to learn whether an accelerator works. Assembled by GNU as into PROBE_CODE:
#   as -o probe.o probe.s && ld -m elf_x86_64 -Ttext 0 --oformat binary -o probe.bin probe.o
# It goes from reset into long mode, so memory, page tables and mode changes work; runs an instruction that a hypervisor
# without full hardware help cannot emulate (lock cmpxchg16b, which Linux uses early) and a vector move; and ends QEMU
# through the debug exit device at port 0xf4.
.code16
.section .text
start:
  cli
  # page tables: PML4 0x1000 -> PDPT 0x2000 -> PD 0x3000 -> one 2 MiB page at 0 (code below runs copied to 0x7000)
  xor %ax,%ax
  mov %ax,%ds
  mov %ax,%es
  mov %ax,%ss
  mov $0x6000,%sp
  cld
  mov $0x1000,%di
  mov $0x1800,%cx
  rep stosw
  movw $0x2003,0x1000
  movw $0x3003,0x2000
  movw $0x0083,0x3000
  # copy the long mode part to 0x7000
  mov %cs,%ax
  mov %ax,%ds
  mov $(long - start),%si
  mov $0x7000,%di
  mov $(end - long),%cx
  rep movsb
  lgdtl %cs:(gdtr - start)
  xor %ax,%ax
  mov %ax,%ds
  mov %cr4,%eax
  or $0x620,%eax
  mov %eax,%cr4
  mov $0x1000,%eax
  mov %eax,%cr3
  mov $0xC0000080,%ecx
  rdmsr
  or $0x100,%eax
  wrmsr
  mov %cr0,%eax
  and $0xfffffffb,%eax
  or $0x80000003,%eax
  mov %eax,%cr0
  ljmpl $8,$0x7000
gdtr: .word gdtend-gdt-1
  .long 0xf0000 + (gdt - start)
.balign 8
gdt: .quad 0
  .quad 0x00209a0000000000
gdtend:
.code64
long:
  mov $0x9000,%rsp
  xor %eax,%eax
  xor %edx,%edx
  mov $1,%ebx
  xor %ecx,%ecx
  lock cmpxchg16b 0x8000
  movdqu 0x8000,%xmm0
  movdqu %xmm0,0x8020
  mov $0xf4,%dx
  mov $0x10,%al
  outb %al,%dx
1: hlt
  jmp 1b
end:
