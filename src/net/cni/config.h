#pragma once

#include <string>
#include <vector>

#include "api/json_value.h"
#include "base/status.h"

namespace gantry::net::cni {

// A network of the Container Network Interface: plug-ins that are called one after another.
// Threading: a value.
struct NetworkConfig {
  std::string name, cni_version;
  bool disable_check = false;
  std::vector<api::JsonValue> plugins;  // objects with a "type"

  // A list ("plugins") or a single plug-in's configuration. kInvalid names what is missing.
  static Result<NetworkConfig> Parse(const std::string& text);
  // As a list, for the record.
  std::string ToString() const;

  // Whether the version has CHECK, and hands DEL the result of ADD.
  bool KnowsPreviousResult() const;
};

// The first configuration of the directory by name (.conflist, .conf, .json), as container runtimes
// choose it; broken ones are passed over. kNotFound when there is none. Blocks.
Result<NetworkConfig> LoadConfig(const std::string& directory);

// The addresses in what ADD answered, without prefix lengths, in its order. kInvalid where there is
// none.
Result<std::vector<std::string>> AddressesOf(const api::JsonValue& result);

}  // namespace gantry::net::cni
