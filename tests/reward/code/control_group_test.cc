// Control groups: where they can be made, and what they hold that the limits of a process do not.
#include "reward/code/control_group.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "reward/code/run.h"
#include "tests/reward/code/sealed.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

using namespace temper;
using namespace temper::test;

namespace {

bool is_empty(const std::string& group) {
  std::ifstream events(group + "/cgroup.events");
  std::string name;
  int populated = 1;
  events >> name >> populated;
  return populated == 0;
}

}  // namespace

TEST_CASE("sandbox: control groups are used where they can be, and else are named with a reason") {
  CHECK(ControlGroups("").fault() == "no unified hierarchy (cgroup v2)");
  CHECK(ControlGroups("").make(1 << 20, 4).entrance() < 0);

  // A folder that gives no controllers: as on machines that keep them in the older hierarchy.
  const TemporaryFolder folder;
  const std::string own = (folder.path() / "own").string();
  std::filesystem::create_directory(own);
  const auto write = [&](const char* name, const char* text) { std::ofstream(own + name) << text; };
  write("/cgroup.procs", "");
  const ControlGroups without(own);
  CHECK_FALSE(without.available());
  CHECK(without.fault() ==
        own + " lacks the controllers memory and pids (cgroup v1 may hold them)");
  write("/cgroup.controllers", "cpu memory pids");
  CHECK(ControlGroups(own).fault() ==
        own + " is not writable, or its processes keep it from giving out controllers");

  // One that says it gives them, but in which a group has no limits: nothing of the try is left.
  write("/cgroup.subtree_control", "cpu memory pids");
  const ControlGroups broken(own);
  CHECK_FALSE(broken.available());
  CHECK(broken.fault().find("no group can be made in " + own) == 0);
  int folders = 0;
  for (const auto& entry : std::filesystem::directory_iterator(own))
    folders += entry.is_directory();
  CHECK(folders == 0);
}

TEST_CASE(
    "sandbox: a control group limits processes and memory together, and goes with its program") {
  const ControlGroups groups;
  if (!groups.available()) {
    std::fprintf(stderr, "skipped: control groups: %s\n", groups.fault().c_str());
    return;
  }
  std::string folder;
  {
    const ControlGroup group = groups.make(64LL << 20, 4);
    REQUIRE(group.entrance() >= 0);
    folder = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(group.entrance()))
                 .parent_path();
    // Four processes, the first included, however many are tried.
    const pid_t first = fork();
    if (first == 0) {
      if (write(group.entrance(), "0", 1) != 1) _exit(99);
      int made = 0;
      for (int i = 0; i < 10; ++i) {
        const pid_t child = fork();
        if (child == 0) pause();
        if (child > 0) ++made;
      }
      if (made != 3) _exit(98);
      std::ofstream(folder + "/cgroup.kill") << "1";
      pause();
    }
    int status = 0;
    REQUIRE(waitpid(first, &status, 0) == first);
    CHECK(WIFSIGNALED(status));
    std::ifstream events(folder + "/pids.events");
    std::string name;
    int refused = 0;
    events >> name >> refused;
    CHECK(name == "max");
    CHECK(refused == 7);
    // The memory of two processes, each below the limit, is one sum.
    const pid_t hungry = fork();
    if (hungry == 0) {
      if (write(group.entrance(), "0", 1) != 1) _exit(99);
      fork();
      std::string memory(48 << 20, '\1');
      for (char& byte : memory) byte = 2;
      pause();
    }
    REQUIRE(waitpid(hungry, &status, 0) == hungry);
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGKILL);
    for (int i = 0; i < 400 && !is_empty(folder); ++i) usleep(10000);
  }
  CHECK_FALSE(std::filesystem::exists(folder));
  // What a killed process left is removed by the next one.
  const std::string parent = std::filesystem::path(folder).parent_path();
  const std::string left = parent + "/temper-999999999-0-0";
  std::filesystem::create_directory(left);
  CHECK(ControlGroups().available());
  CHECK_FALSE(std::filesystem::exists(left));
}

TEST_CASE("sandbox: a control group counts what the limits of a process do not") {
  const auto sandbox = sealed_sandbox();
  if (!sandbox) return;
  // Three processes, each with less than any of them may have.
  const RunLimits limits{
      .cpu_seconds = 20, .wall_seconds = 60, .memory_bytes = 96 << 20, .disk_bytes = 16 << 20};
  SandboxProgram program{.arguments = {"/usr/bin/python3", "-S", "-s", "main.py"}};
  program.files = {{"main.py", R"(
import os, time
read, write = os.pipe()
parent = all([os.fork() for i in range(2)])
memory = bytearray(b'x') * (56 << 20)
os.write(write, b'x')
if not parent:
    time.sleep(60)
for i in range(4 if parent else 0):
    os.read(read, 1)
print('all of it')
)"}};
  program.rights = ProcessRights::processes;
  const RunResult filled = run_to_end(*sandbox, program, "", limits);
  INFO(filled.errors);
  if (ControlGroups().available()) {
    CHECK_FALSE(filled.end.exited);
    CHECK(filled.end.code == SIGKILL);
  } else {
    CHECK(filled.output == "all of it\n");
  }
}
