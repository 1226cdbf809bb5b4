#include "reward/code/init_program.h"

#include <elf.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace temper {
namespace {

// One system call in a loop: an executable of a compiler's would take libraries and far longer.
#if defined(__x86_64__)
constexpr uint16_t kMachine = EM_X86_64;
constexpr std::array<uint8_t, 7> kCode = {0x6a, 0x22,   // push 34: pause
                                          0x58,         // pop rax
                                          0x0f, 0x05,   // syscall
                                          0xeb, 0xf9};  // jmp to the push
#elif defined(__aarch64__)
constexpr uint16_t kMachine = EM_AARCH64;
constexpr std::array<uint8_t, 28> kCode = {0x00, 0x00, 0x80, 0xd2,   // mov x0, #0: no files
                                           0x01, 0x00, 0x80, 0xd2,   // mov x1, #0: none of them
                                           0x02, 0x00, 0x80, 0xd2,   // mov x2, #0: no end
                                           0x03, 0x00, 0x80, 0xd2,   // mov x3, #0: no mask
                                           0x28, 0x09, 0x80, 0xd2,   // mov x8, #73: ppoll
                                           0x01, 0x00, 0x00, 0xd4,   // svc #0
                                           0xfa, 0xff, 0xff, 0x17};  // b to the first
#else
#error "init_program.cc needs this machine's code for one system call in a loop"
#endif

struct Image {
  Elf64_Ehdr header;
  Elf64_Phdr segment;
  std::array<uint8_t, kCode.size()> code;
};

}  // namespace

std::string init_program() {
  constexpr uint64_t kAddress = 0x400000;  // of the whole file in memory
  Image image{};
  constexpr std::array<uint8_t, 7> kIdent = {ELFMAG0,    ELFMAG1,     ELFMAG2,   ELFMAG3,
                                             ELFCLASS64, ELFDATA2LSB, EV_CURRENT};
  for (size_t i = 0; i < kIdent.size(); ++i) image.header.e_ident[i] = kIdent[i];
  image.header.e_type = ET_EXEC;
  image.header.e_machine = kMachine;
  image.header.e_version = EV_CURRENT;
  image.header.e_entry = kAddress + offsetof(Image, code);
  image.header.e_phoff = offsetof(Image, segment);
  image.header.e_ehsize = sizeof image.header;
  image.header.e_phentsize = sizeof image.segment;
  image.header.e_phnum = 1;
  image.segment.p_type = PT_LOAD;
  image.segment.p_flags = PF_R | PF_X;
  image.segment.p_vaddr = image.segment.p_paddr = kAddress;
  image.segment.p_filesz = image.segment.p_memsz = sizeof image;
  image.segment.p_align = 0x10000;
  image.code = kCode;
  return {reinterpret_cast<const char*>(&image), sizeof image};
}

}  // namespace temper
