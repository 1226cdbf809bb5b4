#include "tests/support/temporary_folder.h"

#include <fstream>
#include <system_error>

#include "core/temporary_folder.h"

namespace temper {

TemporaryFolder::TemporaryFolder() : path_(make_temporary_folder("temper-test")) {}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::filesystem::path TemporaryFolder::write(const std::string& name,
                                             const std::string& content) const {
  const std::filesystem::path file = path_ / name;
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << content;
  return file;
}

}  // namespace temper
