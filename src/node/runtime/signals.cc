#include "node/runtime/signals.h"

#include <csignal>
#include <cstdlib>
#include <string>

#include "node/os/fs.h"

namespace gantry::node {

int SignalNumber(std::string_view name) {
  struct Entry {
    std::string_view name;
    int number;
  };
  constexpr Entry kSignals[] = {
      {"HUP", SIGHUP},       {"INT", SIGINT},   {"QUIT", SIGQUIT},   {"ILL", SIGILL},
      {"TRAP", SIGTRAP},     {"ABRT", SIGABRT}, {"BUS", SIGBUS},     {"FPE", SIGFPE},
      {"KILL", SIGKILL},     {"USR1", SIGUSR1}, {"SEGV", SIGSEGV},   {"USR2", SIGUSR2},
      {"PIPE", SIGPIPE},     {"ALRM", SIGALRM}, {"TERM", SIGTERM},   {"CHLD", SIGCHLD},
      {"CONT", SIGCONT},     {"STOP", SIGSTOP}, {"TSTP", SIGTSTP},   {"TTIN", SIGTTIN},
      {"TTOU", SIGTTOU},     {"URG", SIGURG},   {"XCPU", SIGXCPU},   {"XFSZ", SIGXFSZ},
      {"VTALRM", SIGVTALRM}, {"PROF", SIGPROF}, {"WINCH", SIGWINCH}, {"IO", SIGIO},
      {"POLL", SIGPOLL},     {"PWR", SIGPWR},   {"SYS", SIGSYS}};
  if (name.empty()) return SIGTERM;
  if (name.find_first_not_of("0123456789") == std::string_view::npos) {
    int number = std::atoi(std::string(name).c_str());
    return number > 0 && number < NSIG ? number : SIGTERM;
  }
  if (name.starts_with("SIG")) name.remove_prefix(3);
  for (const Entry& entry : kSignals) {
    if (entry.name == name) return entry.number;
  }
  if (name.starts_with("RTMIN+")) return SIGRTMIN + std::atoi(std::string(name.substr(6)).c_str());
  if (name.starts_with("RTMAX-")) return SIGRTMAX - std::atoi(std::string(name.substr(6)).c_str());
  return SIGTERM;
}

int StopSignalOf(const std::string& bundle) {
  return SignalNumber(ReadFile(bundle + "/stop-signal").value_or(""));
}

}  // namespace gantry::node
