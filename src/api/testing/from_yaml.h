#pragma once

#include <memory>
#include <string_view>

#include "api/object.h"

namespace gantry::api::testing {

// Reads an object from YAML for a test; a bug in the text ends the test program with the reason.
void ReadYaml(std::string_view yaml, google::protobuf::Message* out);

template <class T>
T FromYaml(std::string_view yaml) {
  T message;
  ReadYaml(yaml, &message);
  return message;
}
template <class T>
Ref<T> RefFromYaml(std::string_view yaml) {
  return Ref<T>::Of(FromYaml<T>(yaml));
}

}  // namespace gantry::api::testing
