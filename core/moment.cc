#include "core/moment.h"

#include <csignal>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <iterator>

#include "core/error.h"

namespace temper {
namespace {

// A kill is the process's, so what arms it is too; null unless a test asked for it.
std::atomic<const char*> armed_name{nullptr};
std::atomic<int64_t> passes_left{0};

}  // namespace

void reach_moment(const char* name) {
  const char* armed = armed_name.load(std::memory_order_relaxed);
  if (armed == nullptr || std::strcmp(armed, name) != 0) return;
  if (passes_left.fetch_sub(1) == 1) std::raise(SIGKILL);
}

void kill_at_moment(const std::string& name, int64_t count) {
  const auto known = std::find(std::begin(kMoments), std::end(kMoments), name);
  std::string names;
  for (const char* each : kMoments) names += (names.empty() ? "" : ", ") + std::string(each);
  if (known == std::end(kMoments) || count < 1)
    throw UserError({.what = "there is no such moment to be killed at",
                     .expected = "NAME:COUNT with a count from 1 and a NAME of: " + names,
                     .found = name + ":" + std::to_string(count)});
  passes_left = count;
  armed_name = *known;
}

}  // namespace temper
