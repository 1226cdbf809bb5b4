// Reads TensorBoard's event files, for tests: a second pair of eyes on the format.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace temper::test {

struct ReadEvent {
  double wall_time = 0.0;
  int64_t step = 0;
  std::string file_version;
  std::map<std::string, float> scalars;
};

// Bit by bit, with the polynomial 0x1EDC6F41 read backwards.
inline uint32_t slow_crc32c(std::string_view bytes) {
  uint32_t crc = ~0U;
  for (const char c : bytes) {
    crc ^= static_cast<uint8_t>(c);
    for (int i = 0; i < 8; ++i) crc = (crc & 1) != 0 ? (crc >> 1) ^ 0x82f63b78U : crc >> 1;
  }
  return ~crc;
}

class ProtoReader {
 public:
  explicit ProtoReader(std::string_view bytes) : rest_(bytes) {}
  bool next() {
    if (rest_.empty()) return false;
    const uint64_t key = varint();
    field = static_cast<int>(key >> 3);
    switch (key & 7) {
      case 0:
        number = varint();
        return true;
      case 1:
        content = take(8);
        return true;
      case 2:
        content = take(varint());
        return true;
      case 5:
        content = take(4);
        return true;
    }
    throw std::runtime_error("a wire type of no known kind");
  }
  template <class T>
  T as() const {
    T value;
    if (content.size() != sizeof value) throw std::runtime_error("a field of another size");
    std::memcpy(&value, content.data(), sizeof value);
    return value;
  }
  int field = 0;
  uint64_t number = 0;
  std::string_view content;

 private:
  std::string_view take(uint64_t count) {
    if (count > rest_.size()) throw std::runtime_error("a message is cut off");
    const std::string_view part = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return part;
  }
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<uint8_t>(take(1)[0]);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw std::runtime_error("a varint without end");
  }
  std::string_view rest_;
};

inline ReadEvent read_event(std::string_view bytes) {
  ReadEvent event;
  for (ProtoReader in(bytes); in.next();) {
    if (in.field == 1) event.wall_time = in.as<double>();
    if (in.field == 2) event.step = static_cast<int64_t>(in.number);
    if (in.field == 3) event.file_version = in.content;
    if (in.field != 5) continue;
    for (ProtoReader value(in.content); value.next();) {
      std::string tag;
      float scalar = 0;
      for (ProtoReader part(value.content); part.next();) {
        if (part.field == 1) tag = part.content;
        if (part.field == 2) scalar = part.as<float>();
      }
      event.scalars[tag] = scalar;
    }
  }
  return event;
}

// Throws std::runtime_error if a checksum or a length is wrong.
inline std::vector<ReadEvent> read_events(std::string_view bytes) {
  const auto check = [](std::string_view data, std::string_view stored) {
    const uint32_t crc = slow_crc32c(data);
    const uint32_t masked = ((crc >> 15) | (crc << 17)) + 0xa282ead8U;
    if (stored.size() != 4 || std::memcmp(&masked, stored.data(), 4) != 0)
      throw std::runtime_error("a checksum is wrong");
  };
  std::vector<ReadEvent> events;
  while (!bytes.empty()) {
    uint64_t length = 0;
    if (bytes.size() < 16) throw std::runtime_error("a record is cut off");
    std::memcpy(&length, bytes.data(), 8);
    check(bytes.substr(0, 8), bytes.substr(8, 4));
    if (length > bytes.size() - 16) throw std::runtime_error("a record is cut off");
    check(bytes.substr(12, length), bytes.substr(12 + length, 4));
    events.push_back(read_event(bytes.substr(12, length)));
    bytes.remove_prefix(16 + length);
  }
  return events;
}

}  // namespace temper::test
