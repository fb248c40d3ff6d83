#pragma once

#include <string>
#include <vector>

#include "api/json_value.h"
#include "base/status.h"
#include "net/cni/config.h"
#include "net/pod_network.h"

namespace gantry::net::cni {

// One pod's place on a network of plug-ins, with all that they have to be told: enough to take it
// down whatever has changed since. Threading: a value; the calls run programs and block.
struct Attachment {
  PodAttachment pod;
  NetworkConfig config;
  std::vector<std::string> plugin_dirs;
  std::vector<std::string> pod_cidrs;  // the node's, for the capability "ipRanges"
  api::JsonValue result;               // of ADD; null: it has not succeeded
  std::vector<std::string> ips;        // in it

  // ADD of all plug-ins, one after another; fills result and ips. Errors are worded as libcni
  // words them.
  Status Add();
  // CHECK, where the configuration's version has it.
  Status Check() const;
  // DEL of all, last to first. What is gone already is success, by the plug-ins' own contract.
  Status Delete() const;

  // As it is on disk.
  std::string Encode() const;
  static Result<Attachment> Decode(const std::string& uid, const std::string& text);

 private:
  // One call of one plug-in; null when it answered nothing.
  Result<api::JsonValue> Call(const std::string& command, const api::JsonValue& plugin,
                              const api::JsonValue& previous) const;
  api::JsonValue RuntimeConfig(const api::JsonValue& plugin) const;
};

}  // namespace gantry::net::cni
