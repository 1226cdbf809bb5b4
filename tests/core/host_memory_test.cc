#include "core/host_memory.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/device.h"
#include "tests/support/catch.h"
#include "tests/support/sanitized.h"
#include "tests/support/temporary_folder.h"

using namespace temper;
namespace fs = std::filesystem;

namespace {

// A machine with 1 GB available, as /proc and /sys would show it.
struct Machine {
  TemporaryFolder root;

  Machine() {
    write("proc/meminfo", "MemTotal: 2000000 kB\nMemAvailable:    1000000 kB\nSwapFree: 0 kB\n");
  }
  void write(const std::string& file, const std::string& text) const {
    fs::create_directories((root / file).parent_path());
    root.write(file, text);
  }
  int64_t available() const { return available_host_memory(root.path()); }
};

constexpr int64_t kMachine = 1000000 * int64_t{1024};

}  // namespace

TEST_CASE("memory: without limits it is what the machine has available") {
  const Machine m;
  CHECK(m.available() == kMachine);
  m.write("proc/self/cgroup", "0::/user/x\n");
  m.write("sys/fs/cgroup/user/x/memory.max", "max\n");
  m.write("sys/fs/cgroup/user/x/memory.current", "5000\n");
  CHECK(m.available() == kMachine);
}

TEST_CASE("memory: a control group's limit holds, and that of a group above it") {
  const Machine m;
  m.write("proc/self/cgroup", "0::/user/x\n");
  m.write("sys/fs/cgroup/user/x/memory.max", "300000000\n");
  m.write("sys/fs/cgroup/user/x/memory.current", "100000000\n");
  CHECK(m.available() == 200000000);
  m.write("sys/fs/cgroup/user/x/memory.stat",  // what the kernel gives back
          "anon 1\nfile 60000000\ninactive_file 50000000\n");
  CHECK(m.available() == 250000000);
  m.write("sys/fs/cgroup/user/memory.max", "200000000\n");
  m.write("sys/fs/cgroup/user/memory.current", "120000000\n");
  CHECK(m.available() == 80000000);
  // A container sees its own group as the root.
  m.write("sys/fs/cgroup/memory.max", "90000000\n");
  m.write("sys/fs/cgroup/memory.current", "95000000\n");
  CHECK(m.available() == 0);
}

TEST_CASE("memory: the first version of control groups") {
  const Machine m;
  m.write("proc/self/cgroup", "5:cpu:/a\n4:memory:/a\n");
  m.write("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "300000000\n");
  m.write("sys/fs/cgroup/memory/a/memory.usage_in_bytes", "100000000\n");
  m.write("sys/fs/cgroup/memory/a/memory.stat", "inactive_file 7\ntotal_inactive_file 1000\n");
  m.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  m.write("sys/fs/cgroup/memory/memory.usage_in_bytes", "100000000\n");
  CHECK(m.available() == 200001000);
}

TEST_CASE("memory: what the process's own limit leaves is all that is available") {
  if (test::kSanitized) {
    WARN("skipped: a sanitizer's own memory has no room under a limit of addresses");
    return;
  }
  const int64_t before = available_memory(Device::cpu);
  REQUIRE(before > 0);
  for (const auto resource : {RLIMIT_AS, RLIMIT_DATA}) {
    const pid_t child = fork();
    if (child == 0) {
      const rlim_t limit = rlim_t{4} << 30;
      const rlimit own{limit, limit};
      if (setrlimit(resource, &own) != 0) _exit(2);
      const int64_t left = available_memory(Device::cpu);
      _exit(left < static_cast<int64_t>(limit) && left > 0 ? 0 : 1);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WEXITSTATUS(status) == 0);
  }
}
