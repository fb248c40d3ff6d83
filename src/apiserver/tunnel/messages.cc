#include "apiserver/tunnel/messages.h"

#include <chrono>

namespace gantry::apiserver::tunnel {

void ToMessage(const client::LogOptions& options, Logs* out) {
  out->set_namespace_(options.ns);
  out->set_pod(options.pod);
  out->set_uid(options.uid);
  out->set_container(options.container);
  out->set_follow(options.follow);
  out->set_previous(options.previous);
  out->set_timestamps(options.timestamps);
  if (options.tail_lines) out->set_tail_lines(*options.tail_lines);
  if (options.limit_bytes) out->set_limit_bytes(*options.limit_bytes);
  if (options.since) out->set_since_ns(options.since->time_since_epoch().count());
}

client::LogOptions FromMessage(const Logs& message) {
  client::LogOptions options;
  options.ns = message.namespace_();
  options.pod = message.pod();
  options.uid = message.uid();
  options.container = message.container();
  options.follow = message.follow();
  options.previous = message.previous();
  options.timestamps = message.timestamps();
  if (message.has_tail_lines()) options.tail_lines = message.tail_lines();
  if (message.has_limit_bytes()) options.limit_bytes = message.limit_bytes();
  if (message.has_since_ns())
    options.since = WallTime(std::chrono::nanoseconds(message.since_ns()));
  return options;
}

void ToMessage(const client::ExecOptions& options, Exec* out) {
  out->set_namespace_(options.ns);
  out->set_pod(options.pod);
  out->set_uid(options.uid);
  out->set_container(options.container);
  for (const std::string& word : options.command)
    out->add_command(word);
  out->set_stdin(options.stdin_open);
  out->set_stdout(options.stdout_open);
  out->set_stderr(options.stderr_open);
  out->set_tty(options.tty);
}

client::ExecOptions FromMessage(const Exec& message) {
  client::ExecOptions options;
  options.ns = message.namespace_();
  options.pod = message.pod();
  options.uid = message.uid();
  options.container = message.container();
  options.command.assign(message.command().begin(), message.command().end());
  options.stdin_open = message.stdin();
  options.stdout_open = message.stdout();
  options.stderr_open = message.stderr();
  options.tty = message.tty();
  return options;
}

Reply ToReply(const Status& status) {
  Reply reply;
  if (status.ok()) return reply;
  reply.set_reason(std::string(ReasonOf(status.code())));
  reply.set_message(status.message());
  return reply;
}

Status FromReply(const Reply& reply) {
  if (reply.reason().empty()) return Status::Ok();
  for (int i = static_cast<int>(Code::kOk) + 1; i <= static_cast<int>(Code::kDataLoss); ++i) {
    if (ReasonOf(static_cast<Code>(i)) == reply.reason())
      return Status(static_cast<Code>(i), reply.message());
  }
  return InternalError(reply.message());
}

}  // namespace gantry::apiserver::tunnel
