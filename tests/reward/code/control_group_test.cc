// Control groups: where they can be made, and what they hold that the limits of a process do not.
#include "reward/code/control_group.h"

#include <csignal>
#include <filesystem>
#include <fstream>

#include "reward/code/run.h"
#include "tests/reward/code/sealed.h"
#include "tests/support/catch.h"
#include "tests/support/run_binary.h"

using namespace temper;
using namespace temper::test;

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

TEST_CASE("sandbox: a control group counts what the limits of a process do not") {
  const auto sandbox = sealed_sandbox();
  if (!sandbox) return;
  // Files in the private folder are memory, but no process's.
  const RunLimits limits{
      .cpu_seconds = 5, .wall_seconds = 20, .memory_bytes = 96 << 20, .disk_bytes = 256 << 20};
  SandboxProgram program{.arguments = {"/usr/bin/python3", "-S", "-s", "main.py"}};
  program.files = {{"main.py", R"(
with open('big', 'wb') as f:
    for i in range(192): f.write(bytes(1 << 20))
print('all of it')
)"}};
  const RunResult filled = run_to_end(*sandbox, program, "", limits);
  if (ControlGroups().available()) {
    CHECK_FALSE(filled.end.exited);
    CHECK(filled.end.code == SIGKILL);
  } else {  // the size of the folder still holds
    CHECK(filled.output == "all of it\n");
  }
}
