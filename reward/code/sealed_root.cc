#include "reward/code/sealed_root.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "core/error.h"
#include "reward/code/shared_child.h"

namespace temper {
namespace {

namespace fs = std::filesystem;

// The folder that the new root is put over: it exists everywhere, and nothing is taken from it.
constexpr const char* kNewRoot = "/proc/";

// What a program sees of the machine. /bin and the like are links into /usr on most systems.
void add_path(RootPlan& plan, const std::string& path) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(path, error);
  const std::string target = kNewRoot + path.substr(1);
  if (fs::is_symlink(status)) {
    plan.links.push_back({fs::read_symlink(path, error).string(), target});
  } else if (fs::exists(status)) {
    plan.mounts.push_back({path, target, fs::is_directory(status)});
  }
}

void add_outside_folder(RootPlan& plan, const std::string& path) {
  const fs::path folder = fs::weakly_canonical(path);
  if (folder == "/usr" || folder.string().starts_with("/usr/")) return;
  if (folder.parent_path() != "/" || folder == "/" || !fs::is_directory(folder)) {
    throw UserError({.what = "sealed programs cannot be given this folder",
                     .where = path,
                     .expected = "a folder in /usr or one directly in the root, like /opt",
                     .found = folder.string(),
                     .hint = {}});
  }
  add_path(plan, folder.string());
}

// The children's work. Every step returns whether it was done.
class RootBuilder {
 public:
  RootBuilder(const RootPlan& plan, bool step_down, int dumpable)
      : plan_(plan), step_down_(step_down), dumpable_(dumpable) {
    const std::string user = std::to_string(step_down ? 65534 : geteuid());
    const std::string group = std::to_string(step_down ? 65534 : getegid());
    user_map_ = "65534 " + user + " 1\n";
    group_map_ = "65534 " + group + " 1\n";
  }

  SealedRoot make() {
    const SignalsBlocked blocked;
    const ChildProcess child = clone_child(stacks_.outer(), CLONE_FILES, &outer, this);
    if (fault_.check(child.pid > 0, "a child process")) waitpid(child.pid, nullptr, __WALL);
    SealedRoot root{Descriptor(users_), Descriptor(network_), Descriptor(mounts_)};
    throw_if(fault_, "this machine cannot seal programs");
    return root;
  }

 private:
  static int outer(void* self) {
    static_cast<RootBuilder*>(self)->leave();
    return 0;
  }
  static int inner(void* self) {
    static_cast<RootBuilder*>(self)->build();
    return 0;
  }

  void leave() {
    if (step_down_ && !fault_.check(become_nobody(dumpable_), "stepping down from root")) return;
    const ChildProcess child = clone_child(
        stacks_.inner(), CLONE_FILES | CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET, &inner, this);
    if (!fault_.check(child.pid > 0, "user, mount and network namespaces")) return;
    syscall(SYS_wait4, child.pid, nullptr, __WALL, nullptr);
  }

  void build() {
    // The files are shared with the process outside, which so gets the handles.
    users_ = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
    network_ = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    mounts_ = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    if (!fault_.check(users_ >= 0 && network_ >= 0 && mounts_ >= 0, "handles of namespaces")) {
      return;
    }
    const bool mapped = write_whole_file(AT_FDCWD, "/proc/self/setgroups", "deny", 0) &&
                        write_whole_file(AT_FDCWD, "/proc/self/uid_map", user_map_, 0) &&
                        write_whole_file(AT_FDCWD, "/proc/self/gid_map", group_map_, 0);
    if (fault_.check(mapped, "user namespace") && mount_all()) enter();
  }

  bool mount_all() {
    // Nothing mounted here must reach the machine's own tree.
    if (!fault_.check(mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0,
                      "mount namespace")) {
      return false;
    }
    const bool empty = mount("tmpfs", kNewRoot, "tmpfs", MS_NOSUID | MS_NODEV,
                             "size=1m,nr_inodes=256,mode=0755") == 0 &&
                       mkdir("/proc/etc", 0755) == 0 && mkdir("/proc/dev", 0755) == 0 &&
                       mkdir("/proc/tmp", 0755) == 0;
    if (!fault_.check(empty, "an empty root")) return false;
    for (const RootPlan::Mount& bind : plan_.mounts) {
      if (!fault_.check(bind_one(bind), bind.source.c_str())) return false;
    }
    for (const RootPlan::Link& link : plan_.links) {
      if (!fault_.check(symlink(link.content.c_str(), link.path.c_str()) == 0, "links")) {
        return false;
      }
    }
    constexpr std::string_view kUsers = "nobody:x:65534:65534:nobody:/tmp:/usr/sbin/nologin\n";
    return fault_.check(write_whole_file(AT_FDCWD, "/proc/etc/passwd", kUsers, O_CREAT), "passwd");
  }

  static bool bind_one(const RootPlan::Mount& bind) {
    const char* target = bind.target.c_str();
    if (bind.is_folder ? mkdir(target, 0755) != 0
                       : !write_whole_file(AT_FDCWD, target, "", O_CREAT)) {
      return false;
    }
    // Recursive: in a user namespace what is mounted below a folder may not be uncovered.
    return mount(bind.source.c_str(), target, nullptr, MS_BIND | MS_REC, nullptr) == 0 &&
           restrict_mount(target);
  }

  // Read-only and without set-user-ID programs, with all that is mounted below.
  static bool restrict_mount(const char* path) {
    struct {
      uint64_t set, clear, propagation, user_namespace;
    } attributes = {};
    // <linux/mount.h> has these, which older C libraries' <sys/mount.h> does not go with.
    constexpr uint64_t kReadOnly = 1, kNoSetUser = 2;
    constexpr unsigned kRecursive = 0x8000;  // AT_RECURSIVE
    attributes.set = kReadOnly | kNoSetUser;
    return syscall(SYS_mount_setattr, AT_FDCWD, path, kRecursive, &attributes, sizeof attributes) ==
           0;
  }

  void enter() {
    const bool entered = chdir(kNewRoot) == 0 && syscall(SYS_pivot_root, ".", ".") == 0 &&
                         umount2(".", MNT_DETACH) == 0 && chdir("/") == 0;
    if (!fault_.check(entered, "another root")) return;
    const unsigned long flags = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV;
    fault_.check(mount(nullptr, "/", nullptr, flags, nullptr) == 0, "read-only root");
  }

  const RootPlan& plan_;
  const bool step_down_;
  const int dumpable_;
  std::string user_map_, group_map_;
  ChildStacks stacks_;
  ChildFault fault_;
  int users_ = -1, network_ = -1, mounts_ = -1;
};

}  // namespace

RootPlan plan_root(const std::vector<std::string>& folders) {
  RootPlan plan;
  for (const char* path : {"/usr", "/bin", "/lib", "/lib32", "/lib64", "/libx32",
                           "/etc/ld.so.cache", "/etc/alternatives"}) {
    add_path(plan, path);
  }
  for (const std::string& folder : folders) add_outside_folder(plan, folder);
  for (const char* device : {"/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"}) {
    plan.mounts.push_back({device, kNewRoot + std::string(device + 1), false});
  }
  return plan;
}

SealedRoot make_sealed_root(const RootPlan& plan, bool step_down, int dumpable) {
  return RootBuilder(plan, step_down, dumpable).make();
}

}  // namespace temper
