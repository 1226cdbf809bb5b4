// Named moments of a run, at which a test can end the process exactly: what a power cut or an
// operator's kill -9 does at any time, made to happen at a chosen one.
#pragma once

#include <cstdint>
#include <string>

namespace temper {

// The names that reach_moment() is called with, in the order in which a run meets them.
inline constexpr const char* kMoments[] = {
    "rollout",             // between two steps of generation
    "scoring",             // before a completion is judged
    "training",            // between the micro-batches of an update
    "update",              // with the gradient, before the weights change
    "updated",             // weights changed, nothing written
    "checkpoint writing",  // the model's files are there under the temporary name, its state is not
    "checkpoint rename",   // whole under the temporary name
    "checkpoint renamed",  // in its place; its row is not committed
    "commit",              // before a step's rows are committed
    "committed",           // behind that
    "filtering",           // samples are judged, none is chosen yet
    "between stages",      // a stage of a chain is done, its row is not
};

// Says that the run has come to the moment; does nothing unless kill_at_moment() named it.
void reach_moment(const char* name);

// The process gets SIGKILL the `count`-th time (from 1) that it comes to the moment `name`. Called
// at most once, before other threads begin. Throws UserError naming the known ones.
void kill_at_moment(const std::string& name, int64_t count);

}  // namespace temper
