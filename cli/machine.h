// Probes of the machine: what doctor prints. Each answers for this process, as it is confined now.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace temper {

struct Machine {
  std::string cpu;           // "AMD EPYC 9B14", or "unknown"
  int cores = 0;             // this process may run on
  std::string vector_sets;   // "AVX2 FMA AVX-512", or "none known"
  int64_t memory_bytes = 0;  // of the machine, or the control group's limit if that is less
  int64_t memory_free = 0;   // available now
  std::string system;        // "Linux 6.1.0 x86_64"
  std::string gpu_driver;    // the kernel driver's own line; "" without one
};
Machine probe_machine();  // never fails: what cannot be read stays empty

// Bytes that this user may still write under `path`; -1 if that cannot be told.
int64_t free_disk_bytes(const std::filesystem::path& path);

// What a sandbox for untrusted programs can be made of here.
struct SandboxLayers {
  bool user_namespaces = false;     // unshare(CLONE_NEWUSER) works
  bool mount_namespaces = false;    // and a tree of mounts of its own in it
  bool process_namespaces = false;  // PID and IPC
  bool network_namespaces = false;  // an empty network
  bool seccomp_filters = false;     // system-call filters
  int landlock_version = 0;         // 0: none
};
SandboxLayers probe_sandbox();  // tries each layer in a child process

}  // namespace temper
