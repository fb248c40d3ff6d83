#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "base/status.h"

// What workloads have in common.
namespace gantry::sim {

// A pod's spec, to be put behind "spec:" of a template, with the words GRACE and IMAGE to replace.
inline constexpr char kContainers[] = R"(
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: GRACE
      containers:
      - name: main
        image: "IMAGE"
        resources: {requests: {cpu: 500m}}
        readinessProbe: {tcpSocket: {port: 80}}
)";

// `text` with every `word` replaced.
std::string With(std::string text, std::string_view word, const std::string& value);

bool IsAny(const Status& status, std::initializer_list<Code> codes);

}  // namespace gantry::sim
