// What all programs of a sandbox share: a user namespace, a network without any interface that is
// up, and a read-only tree of mounts from which each program's own is copied.
#pragma once

#include <string>
#include <vector>

#include "reward/code/descriptor.h"

namespace temper {

struct RootPlan {
  struct Mount {
    std::string source, target;  // the target under the new root
    bool is_folder = true;
  };
  struct Link {
    std::string content, path;
  };
  std::vector<Mount> mounts;
  std::vector<Link> links;
};

// /usr, the libraries, the loader's cache, the links of alternatives, four devices, and `folders`:
// each below /usr or directly in the root. Throws UserError for another folder.
RootPlan plan_root(const std::vector<std::string>& folders);

// Handles of namespaces, for setns.
struct SealedRoot {
  Descriptor users, network, mounts;
};

// Makes them in a child that then exits. `step_down`: as nobody instead of root; `dumpable` as in
// become_nobody. Throws SystemError naming the stage that the machine refuses.
SealedRoot make_sealed_root(const RootPlan& plan, bool step_down, int dumpable);

}  // namespace temper
