#include "cli/event_file.h"

#include <array>
#include <bit>
#include <cstring>

namespace temper {
namespace {

constexpr std::array<uint32_t, 256> crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78U : 0U);
    table[i] = crc;
  }
  return table;
}

template <class T>
std::string little_endian(T value) {
  static_assert(std::endian::native == std::endian::little);
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

// Protocol buffers: a key is field number and wire type, 0 varint, 1 of 8 bytes, 2 with a length,
// 5 of 4 bytes (protobuf.dev, "Encoding").
std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}

std::string field(int number, int wire_type, std::string_view payload) {
  std::string bytes = varint(static_cast<uint64_t>(number) << 3 | static_cast<uint64_t>(wire_type));
  if (wire_type == 2) bytes += varint(payload.size());
  return bytes.append(payload);
}

std::string event_of(double wall_time, int64_t step, int field_number, std::string_view content) {
  return field(1, 1, little_endian(wall_time)) + field(2, 0, varint(static_cast<uint64_t>(step))) +
         field(field_number, 2, content);
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static constexpr std::array<uint32_t, 256> kTable = crc_table();
  uint32_t crc = 0xffffffff;
  for (const char c : bytes) crc = (crc >> 8) ^ kTable[(crc ^ static_cast<uint8_t>(c)) & 0xff];
  return ~crc;
}

uint32_t masked_crc32c(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8U;
}

EventFile::EventFile(double wall_time) {
  add_record(event_of(wall_time, 0, 3, "brain.Event:2"));  // Event.file_version
}

void EventFile::add(double wall_time, int64_t step, const std::vector<EventScalar>& scalars) {
  std::string summary;
  for (const EventScalar& s : scalars)  // Summary.value: tag 1, simple_value 2
    summary +=
        field(1, 2, field(1, 2, s.tag) + field(2, 5, little_endian(static_cast<float>(s.value))));
  add_record(event_of(wall_time, step, 5, summary));  // Event.summary
}

void EventFile::add_record(std::string_view event) {
  const std::string length = little_endian(static_cast<uint64_t>(event.size()));
  bytes_ += length + little_endian(masked_crc32c(length));
  bytes_.append(event);
  bytes_ += little_endian(masked_crc32c(event));
}

}  // namespace temper
