// The folder in which a checkpoint is written before it gets its name.
#pragma once

#include <filesystem>

#include "core/file.h"

namespace temper {

// A new empty folder "<target>.tmp" beside the target, removed at scope exit unless committed.
// What an interrupted run left under that name is removed first.
class StagingFolder {
 public:
  // Throws std::filesystem::filesystem_error if it cannot be made.
  explicit StagingFolder(const std::filesystem::path& target)
      : target_(target.has_filename() ? target : target.parent_path()),  // "out/" is "out"
        path_(target_.string() + ".tmp") {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~StagingFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  StagingFolder(const StagingFolder&) = delete;
  StagingFolder& operator=(const StagingFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

  // Syncs everything and renames the folder to the target, replacing what is there.
  // Throws SystemError; the target then still holds what it held.
  void commit() { commit_directory(path_, target_); }

 private:
  std::filesystem::path target_, path_;
};

}  // namespace temper
