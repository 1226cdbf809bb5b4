// Where the sources and the binary under test lie. Only paths.cc knows, so that one compiler cache
// serves every checkout.
#pragma once

#include <string>

namespace temper::test {

// The root of the source tree.
const std::string& source_dir();
// The path of the built `temper`.
const std::string& temper_binary();

}  // namespace temper::test
