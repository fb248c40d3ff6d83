#include "apiserver/streams/exec_status.h"

#include <cstdio>
#include <string_view>

namespace gantry::apiserver::streams {
namespace {

std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(c));
      out += escaped;
    } else {
      out += c;
    }
  }
  return out + '"';
}

}  // namespace

ExecStatus ExecStatus::Exited(int code) {
  ExecStatus status;
  status.code_ = code;
  return status;
}

ExecStatus ExecStatus::Failed(const Status& why) {
  ExecStatus status;
  status.failure_ = "error executing command in container: " + why.message();
  return status;
}

std::string ExecStatus::Text() const {
  if (!failure_.empty()) return "Internal error occurred: " + failure_;
  if (code_ == 0) return "";
  return "command terminated with non-zero exit code: command terminated with exit code " +
         std::to_string(code_);
}

std::string ExecStatus::Json() const {
  if (!failure_.empty()) {
    return R"({"metadata":{},"status":"Failure","message":)" + Quoted(Text()) +
           R"(,"reason":"InternalError","details":{"causes":[{"message":)" + Quoted(failure_) +
           R"(}]},"code":500})";
  }
  if (code_ == 0) return R"({"metadata":{},"status":"Success"})";
  return R"({"metadata":{},"status":"Failure","message":)" + Quoted(Text()) +
         R"(,"reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":")" +
         std::to_string(code_) + R"("}]}})";
}

}  // namespace gantry::apiserver::streams
