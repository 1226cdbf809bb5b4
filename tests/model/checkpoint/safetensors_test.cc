#include "model/checkpoint/safetensors.h"

#include <cstring>

#include "core/error.h"
#include "core/file.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

namespace temper {
namespace {

// A file with this header and `data_bytes` bytes of data.
void write_raw(const std::filesystem::path& path, const std::string& header, size_t data_bytes) {
  const uint64_t length = header.size();
  std::string content(8, '\0');
  std::memcpy(content.data(), &length, 8);
  write_file_atomically(path, content + header + std::string(data_bytes, 'x'));
}

std::vector<std::string> problems_of(const std::string& header, size_t data_bytes) {
  TemporaryFolder dir;
  write_raw(dir / "a.safetensors", header, data_bytes);
  return SafetensorsFile(dir / "a.safetensors").problems();
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + R"(":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" +
         offsets + "}";
}

TEST_CASE("safetensors: what is written reads back, with metadata") {
  TemporaryFolder dir;
  const std::vector<float> a = {1, 2, 3, 4, 5, 6};
  const std::vector<uint8_t> b = {7, 8, 9};
  SafetensorsWriter writer(dir / "a.safetensors",
                           {{"first", DType::f32, {2, 3}},
                            {"quote\"d", DType::f8_e4m3, {3}},
                            {"none", DType::f32, {0, 4}}},
                           {{"format", "pt"}});
  writer.write(a.data(), 24);
  writer.write(b.data(), 3);
  writer.finish();
  const SafetensorsFile file(dir / "a.safetensors");
  CHECK(file.problems().empty());
  CHECK_NOTHROW(file.check());
  CHECK(file.metadata("format") == "pt");
  CHECK(file.tensors().size() == 3);
  REQUIRE(file.find("first") != nullptr);
  CHECK(file.find("first")->shape == std::vector<int64_t>{2, 3});
  CHECK(std::memcmp(file.find("first")->data, a.data(), 24) == 0);
  REQUIRE(file.find("quote\"d") != nullptr);
  CHECK(file.find("quote\"d")->dtype == "F8_E4M3");
  CHECK(std::memcmp(file.find("quote\"d")->data, b.data(), 3) == 0);
  CHECK(file.find("absent") == nullptr);
}

TEST_CASE("safetensors: the writer holds its caller to the promised bytes") {
  TemporaryFolder dir;
  const float four = 4;
  SafetensorsWriter writer(dir / "a", {{"x", DType::f32, {2}}});
  writer.write(&four, 4);
  CHECK_THROWS_AS(writer.finish(), ContractError);
  writer.write(&four, 4);
  CHECK_THROWS_AS(writer.write(&four, 1), ContractError);
  CHECK_NOTHROW(writer.finish());
  CHECK_THROWS_AS(SafetensorsWriter(dir / "no/such/folder", {}), SystemError);
}

TEST_CASE("safetensors: a broken header is the user's error and names the file") {
  TemporaryFolder dir;
  const auto path = dir / "a.safetensors";
  write_file_atomically(path, "short");
  CHECK_THROWS_AS(SafetensorsFile(path), UserError);
  write_file_atomically(path, std::string("\xff\xff\xff\xff\xff\xff\xff\x7f", 8) + "{}");
  CHECK_THROWS_AS(SafetensorsFile(path), UserError);
  write_raw(path, "{\"a\":", 0);
  CHECK_THROWS_WITH(SafetensorsFile(path), Contains("a.safetensors"));
  write_raw(path, "[1]", 0);
  CHECK_THROWS_AS(SafetensorsFile(path), UserError);
  CHECK_THROWS_AS(SafetensorsFile(dir / "absent"), UserError);
}

TEST_CASE("safetensors: each bad tensor is a problem by name") {
  CHECK(problems_of("{" + entry("a", "F32", "[2]", "[0,8]") + "}", 8).empty());
  auto problems = problems_of(
      "{" + entry("a", "F32", "[2]", "[0,8]") + "," + entry("b", "F32", "[2]", "[8,16]") + "}", 12);
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].starts_with("b: truncated"));
  problems = problems_of(
      "{" + entry("a", "F32", "[2]", "[0,8]") + "," + entry("b", "F32", "[2]", "[4,12]") + "}", 12);
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].find("overlap") != std::string::npos);
  CHECK(problems_of("{" + entry("a", "F32", "[2]", "[8,0]") + "}", 8).size() == 1);
  CHECK(problems_of("{" + entry("a", "F32", "[3]", "[0,8]") + "}", 8).size() == 1);
  CHECK(problems_of("{" + entry("a", "F33", "[2]", "[0,8]") + "}", 8).size() == 1);
  CHECK(problems_of("{" + entry("a", "F32", "[-2]", "[0,8]") + "}", 8).size() == 1);
  CHECK(problems_of("{" + entry("a", "F32", "[4611686018427387904,4]", "[0,0]") + "}", 8).size() ==
        1);
  CHECK(problems_of("{" + entry("a", "F32", "[2]", "[0,8]") + "," +
                        entry("a", "F32", "[2]", "[8,16]") + "}",
                    16)
            .size() == 1);
  CHECK(problems_of(R"({"a":{"dtype":"F32"}})", 8).size() == 1);
}

}  // namespace
}  // namespace temper
