#pragma once

#include <google/protobuf/message.h>

#include <algorithm>
#include <string>

namespace gantry::api {

// True when both (of one type) say the same, in whatever order their maps were filled, and however
// they were written: what Kubernetes holds by value ("resources: {}", "hostNetwork: false") is the
// same unset and empty, what it holds by pointer is not.
bool Same(const google::protobuf::Message& a, const google::protobuf::Message& b);

// Element by element, in order.
template <class List>
bool SameList(const List& a, const List& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& left, const auto& right) { return Same(left, right); });
}

// Equal maps of strings, such as labels.
template <class Map>
bool SameMap(const Map& a, const Map& b) {
  return a.size() == b.size() && std::all_of(a.begin(), a.end(), [&](const auto& entry) {
           auto it = b.find(entry.first);
           return it != b.end() && it->second == entry.second;
         });
}

// Bytes that are the same for messages that say the same.
std::string CanonicalBytes(const google::protobuf::Message& message);
// Bytes that are the same for messages with the same fields set, in whatever order their maps were
// filled. Cheaper.
std::string StableBytes(const google::protobuf::Message& message);

}  // namespace gantry::api
