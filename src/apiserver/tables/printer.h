#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <google/protobuf/message.h>

#include "base/env/time.h"

namespace gantry::api::meta::v1 {
class ObjectMeta;
}

namespace gantry::apiserver::tables {

struct Column {
  std::string_view name;
  std::string_view type;
  std::string_view format;
  std::string_view description;
  int priority = 0;  // 1: clients show it only in wide output
};

constexpr Column Text(std::string_view name, std::string_view description) {
  return {name, "string", "", description, 0};
}
constexpr Column Number(std::string_view name, std::string_view description) {
  return {name, "integer", "", description, 0};
}
constexpr Column Flag(std::string_view name, std::string_view description) {
  return {name, "boolean", "", description, 0};
}
constexpr Column Wide(std::string_view name, std::string_view description) {
  return {name, "string", "", description, 1};
}
inline constexpr Column kName{"Name", "string", "name",
                              "Name, unique among the objects of the kind in a namespace", 0};
inline constexpr Column kAge{"Age", "string", "", "Time since the object was created", 0};

// Receives the cells of one row, in the order of the columns.
class Cells {
 public:
  Cells(WallTime now, std::string* out) : now_(now), out_(out) {}

  void Add(std::string_view text);
  void Add(const std::string& text) { Add(std::string_view(text)); }
  void Add(const char* text) { Add(std::string_view(text)); }
  void Add(int64_t number);
  void Add(int32_t number) { Add(int64_t{number}); }
  void Add(bool value);
  // Time since the object was created.
  void Age(const api::meta::v1::ObjectMeta& meta);

  // Marks the row as an object that is done.
  void Completed(std::string_view reason, std::string_view message);

  WallTime now() const { return now_; }
  std::string_view completed_reason() const { return completed_reason_; }
  std::string_view completed_message() const { return completed_message_; }

 private:
  void Separate();

  WallTime now_;
  std::string* out_;
  bool first_ = true;
  std::string_view completed_reason_;
  std::string_view completed_message_;
};

// How one message type is shown.
struct Printer {
  const google::protobuf::Descriptor* type = nullptr;
  std::span<const Column> columns;
  void (*row)(const google::protobuf::Message& message, Cells& cells) = nullptr;
  // The order of the rows of a list; null keeps the order of the list.
  bool (*less)(const google::protobuf::Message& a, const google::protobuf::Message& b) = nullptr;
};

// A printer out of a function over the message type itself.
template <class T, void (*Row)(const T&, Cells&)>
Printer PrinterOf(std::span<const Column> columns) {
  return {T::descriptor(), columns,
          [](const google::protobuf::Message& message, Cells& cells) {
            Row(static_cast<const T&>(message), cells);
          },
          nullptr};
}

// The printers of one family of kinds; each list is built once.
std::span<const Printer> AdmissionPrinters();
std::span<const Printer> ClusterPrinters();
std::span<const Printer> CorePrinters();
std::span<const Printer> NetworkPrinters();
std::span<const Printer> PodPrinters();
std::span<const Printer> StoragePrinters();
std::span<const Printer> WorkloadPrinters();

}  // namespace gantry::apiserver::tables
