// Checksums of a checkpoint's files: a damaged one is found before a number of it is used.
//
//   DIR/checksums.xxh64   "<16 hex digits>  <file>" a line: `xxhsum -c` reads it too
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace temper {

constexpr const char* kChecksumFile = "checksums.xxh64";

// Writes DIR/checksums.xxh64 over all other files of the folder. Throws SystemError.
void write_checksums(const std::filesystem::path& dir);

enum class ChecksumScope {
  all,
  model,  // without training_state.*, which only a resume reads
};
// What differs from DIR/checksums.xxh64, one line a file: missing, damaged, not readable. Empty if
// all is as it was written, or if the folder has no such file.
std::vector<std::string> damaged_files(const std::filesystem::path& dir, ChecksumScope scope);

// "xxh64:1f..." of a file. Throws UserError if it cannot be read.
std::string file_checksum(const std::filesystem::path& file);

}  // namespace temper
