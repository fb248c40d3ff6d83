// What the wire alone can do: a listener with a trivial handler in a child process, clients in this
// one.
//   get_per_s      small GETs, 64 keep-alive connections, TLS, HTTP/1.1
//   stream_mb_per_s  one large body over TLS, HTTP/1.1
//   watch_10k_ms   one small chunk to each of 10,000 streams on 100 HTTP/2 connections, until the
//   last has it
//   *_cpu_*        processor time of both processes for the same, which says more on a busy machine
//   idle_stream_kb memory of the server per stream of these
// One argument (gets, stream, watches) measures that alone.
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "apiserver/http/listener.h"
#include "apiserver/pki/certificates.h"
#include "base/env/real/real_env.h"
#include "base/env/spawn.h"
#include "base/wire/socket.h"
#include "client/http/transport.h"

namespace gantry {
namespace {

using apiserver::BodyWriter;
using apiserver::Request;
using apiserver::Response;
namespace pki = apiserver::pki;

constexpr int kGetConnections = 64;
constexpr int kGetSeconds = 4;
constexpr int kWatchConnections = 100;
constexpr int kStreamsPerConnection = 100;
constexpr size_t kLargeBytes = size_t{2} << 30;

void Report(const char* name, double value, const char* unit) {
  std::printf("{\"name\": \"%s\", \"value\": %.3f, \"unit\": \"%s\"}\n", name, value, unit);
  std::fflush(stdout);
}

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

long PrivateKilobytes() {
  std::ifstream rollup("/proc/self/smaps_rollup");
  std::string word;
  while (rollup >> word) {
    if (word == "Pss:") {
      long kilobytes = 0;
      rollup >> kilobytes;
      return kilobytes;
    }
  }
  return 0;
}

long CpuMicroseconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1'000'000 + used.ru_utime.tv_usec +
         used.ru_stime.tv_usec;
}

class BenchHandler : public apiserver::Handler {
 public:
  explicit BenchHandler(Env& env) : env_(env) {}

  Task<Response> Handle(Request request) override {
    Response response;
    response.headers.Add("Content-Type", "application/json");
    if (request.path == "/small") {
      response.body.assign(500, 'x');
    } else if (request.path == "/large") {
      auto piece = std::make_shared<const std::string>(std::string(256 * 1024, 'l'));
      response.stream = [piece](BodyWriter& out) { return SendLarge(piece, out); };
    } else if (request.path == "/watch") {
      response.stream = [this, cancel = request.cancel](BodyWriter& out) {
        return Watch(*this, cancel, out);
      };
    } else if (request.path == "/broadcast") {
      const std::lock_guard lock(mutex_);
      for (Notifier* watcher : watchers_)
        watcher->Notify();
    } else if (request.path == "/memory") {
      response.body = std::to_string(PrivateKilobytes());
    } else if (request.path == "/cpu") {
      response.body = std::to_string(CpuMicroseconds());
    }
    co_return response;
  }

 private:
  static Task<> SendLarge(std::shared_ptr<const std::string> piece, BodyWriter& out) {
    for (size_t sent = 0; sent < kLargeBytes; sent += piece->size()) {
      if (Status status = co_await out.Write(piece); !status.ok()) co_return;
    }
  }
  static Task<> Watch(BenchHandler& self, CancelToken cancel, BodyWriter& out) {
    Notifier changed;
    {
      const std::lock_guard lock(self.mutex_);
      self.watchers_.push_back(&changed);
    }
    static const auto chunk = std::make_shared<const std::string>(std::string(300, 'w'));
    Status status = co_await out.Write(chunk);
    while (status.ok() && co_await changed.Wait(self.env_, cancel) == Wake::kNotified) {
      status = co_await out.Write(chunk);
    }
    const std::lock_guard lock(self.mutex_);
    std::erase(self.watchers_, &changed);
  }

  Env& env_;
  std::mutex mutex_;
  std::vector<Notifier*> watchers_;
};

Task<> WaitForClose(Env& env) { co_await SleepFor(env, std::chrono::hours(1)); }

// Never returns: the parent kills it.
void RunServer(const pki::KeyPair& pair, int port_pipe) {
  RealEnv env(2);
  BenchHandler handler(env);
  wire::TlsServerOptions tls;
  tls.certificate_pem = pair.certificate_pem;
  tls.private_key_pem = pair.private_key_pem;
  apiserver::ListenerOptions options;
  options.tls = wire::TlsContext::Server(tls).value();
  apiserver::Listener listener(env, handler, options);
  if (Status status = listener.Start(); !status.ok()) std::exit(1);
  const uint16_t port = listener.port();
  if (write(port_pipe, &port, sizeof port) != sizeof port) std::exit(1);
  env.RunToEnd(WaitForClose(env));
}

struct Bench {
  RealEnv& env;
  uint16_t port;
  std::shared_ptr<const wire::TlsContext> tls;
};

Task<Result<std::unique_ptr<Stream>>> Connect(Bench& bench) {
  wire::DialOptions dial;
  dial.host = "127.0.0.1";
  dial.port = bench.port;
  dial.tls = bench.tls;
  dial.http1_only = true;
  GANTRY_CO_ASSIGN(std::shared_ptr<wire::Socket> socket,
                   co_await wire::Dial(bench.env, std::move(dial)));
  co_return wire::MakeStream(std::move(socket), "");
}

Task<> GetLoop(Bench& bench, SteadyTime end, std::atomic<long>& done) {
  Result<std::unique_ptr<Stream>> stream = co_await Connect(bench);
  if (!stream.ok()) co_return;
  constexpr std::string_view kRequest =
      "GET /small HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n";
  std::array<char, 4096> buffer;
  while (bench.env.Steady() < end) {
    if (Status sent = co_await (*stream)->Write(kRequest); !sent.ok()) co_return;
    size_t got = 0;
    while (true) {  // the body is known to end with the 500th x
      Result<size_t> more = co_await (*stream)->Read(std::span(buffer).subspan(got));
      if (!more.ok() || *more == 0) co_return;
      got += *more;
      const std::string_view answer(buffer.data(), got);
      const size_t head = answer.find("\r\n\r\n");
      if (head != std::string_view::npos && answer.size() - head - 4 >= 500) break;
    }
    ++done;
  }
}

Task<> FetchText(client::HttpTransport& transport, std::string target, std::string* out) {
  Result<client::HttpReply> reply = co_await transport.Fetch(client::HttpRequest("GET", target));
  if (reply.ok()) *out = reply->body;
}

// Asks the server about itself.
class Control {
 public:
  explicit Control(Bench& bench) : bench_(bench), transport_(bench.env, OptionsOf(bench)) {}
  ~Control() { bench_.env.RunToEnd(transport_.Stop()); }

  static client::HttpTransportOptions OptionsOf(const Bench& bench) {
    client::HttpTransportOptions options;
    options.servers = {"https://127.0.0.1:" + std::to_string(bench.port)};
    options.tls = bench.tls;
    return options;
  }
  long Ask(const char* target) {
    std::string out;
    bench_.env.RunToEnd(FetchText(transport_, target, &out));
    return std::atol(out.c_str());
  }
  long AllCpu() { return Ask("/cpu") + CpuMicroseconds(); }

 private:
  Bench& bench_;
  client::HttpTransport transport_;
};

void MeasureGets(Bench& bench) {
  Control control(bench);
  const long server_cpu = control.Ask("/cpu"), cpu = control.AllCpu();
  std::atomic<long> done = 0;
  Gate gate;
  const SteadyTime begin = bench.env.Steady();
  const SteadyTime end = begin + std::chrono::seconds(kGetSeconds);
  for (int i = 0; i < kGetConnections; ++i)
    Spawn(bench.env.MakeStrand(), gate, "get", GetLoop(bench, end, done));
  bench.env.RunToEnd(gate.Close(bench.env));
  Report("get_per_s", static_cast<double>(done) / Seconds(bench.env.Steady() - begin), "1/s");
  Report("get_cpu_us", static_cast<double>(control.AllCpu() - cpu) / static_cast<double>(done),
         "us");
  Report("get_server_cpu_us",
         static_cast<double>(control.Ask("/cpu") - server_cpu) / static_cast<double>(done), "us");
}

Task<> ReadLarge(Bench& bench, size_t* total) {
  Result<std::unique_ptr<Stream>> stream = co_await Connect(bench);
  if (!stream.ok()) co_return;
  Status sent = co_await (*stream)->Write("GET /large HTTP/1.0\r\n\r\n");
  std::vector<char> buffer(256 * 1024);
  while (true) {
    Result<size_t> got = co_await (*stream)->Read(buffer);
    if (!got.ok() || *got == 0) co_return;
    *total += *got;
  }
}

void MeasureStream(Bench& bench) {
  Control control(bench);
  const long cpu = control.AllCpu();
  size_t total = 0;
  Gate gate;
  const SteadyTime begin = bench.env.Steady();
  Spawn(bench.env.MakeStrand(), gate, "large", ReadLarge(bench, &total));
  bench.env.RunToEnd(gate.Close(bench.env));
  Report("stream_mb_per_s", static_cast<double>(total) / 1e6 / Seconds(bench.env.Steady() - begin),
         "MB/s");
  Report("stream_cpu_ms_per_gb",
         static_cast<double>(control.AllCpu() - cpu) * 1e6 / static_cast<double>(total), "ms");
}

Task<> WatchLoop(client::HttpTransport& transport, CancelToken cancel, std::atomic<int>& chunks,
                 Notifier& all, std::atomic<int>& wanted) {
  Result<client::HttpResponse> response =
      co_await transport.Send(client::HttpRequest("GET", "/watch"), cancel);
  while (response.ok()) {
    Result<std::string> chunk = co_await response->body->Read();
    if (!chunk.ok() || chunk->empty()) co_return;
    if (++chunks == wanted) all.Notify();
  }
}

Task<> WaitForChunks(Env& env, std::atomic<int>& chunks, Notifier& all, int wanted) {
  while (chunks < wanted) {
    if (co_await all.Wait(env, CancelToken(), env.Steady() + std::chrono::seconds(30)) ==
        Wake::kTimeout)
      co_return;
  }
}

void MeasureWatches(Bench& bench) {
  Control control(bench);
  const client::HttpTransportOptions options = Control::OptionsOf(bench);
  const long before = control.Ask("/memory");
  constexpr int kStreams = kWatchConnections * kStreamsPerConnection;
  std::atomic<int> chunks = 0, wanted = kStreams;
  Notifier all;
  Gate gate;
  CancelSource source;
  std::vector<std::unique_ptr<client::HttpTransport>> transports;
  for (int i = 0; i < kWatchConnections; ++i) {
    transports.push_back(std::make_unique<client::HttpTransport>(bench.env, options));
    for (int j = 0; j < kStreamsPerConnection; ++j) {
      Spawn(bench.env.MakeStrand(), gate, "watch",
            WatchLoop(*transports.back(), source.token(), chunks, all, wanted));
    }
  }
  bench.env.RunToEnd(WaitForChunks(bench.env, chunks, all, kStreams));
  sleep(1);
  Report("idle_stream_kb", static_cast<double>(control.Ask("/memory") - before) / kStreams, "KiB");
  std::vector<double> rounds;
  const long server_cpu = control.Ask("/cpu"), cpu = control.AllCpu();
  constexpr int kRounds = 5;
  for (int round = 1; round <= kRounds; ++round) {
    wanted = kStreams * (round + 1);
    const SteadyTime begin = bench.env.Steady();
    control.Ask("/broadcast");
    bench.env.RunToEnd(WaitForChunks(bench.env, chunks, all, wanted));
    rounds.push_back(Seconds(bench.env.Steady() - begin) * 1000);
  }
  std::sort(rounds.begin(), rounds.end());
  Report("watch_10k_ms", rounds[rounds.size() / 2], "ms");
  Report("watch_10k_server_cpu_ms",
         static_cast<double>(control.Ask("/cpu") - server_cpu) / 1000 / kRounds, "ms");
  Report("watch_10k_cpu_ms", static_cast<double>(control.AllCpu() - cpu) / 1000 / kRounds, "ms");
  source.Cancel();
  for (auto& transport : transports)
    bench.env.RunToEnd(transport->Stop());
  bench.env.RunToEnd(gate.Close(bench.env));
}

int Main(std::string_view only) {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  pki::KeyPair server;
  std::string ca;
  {
    RealEnv env(1);
    const SteadyTime begin = env.Steady();
    const pki::Authority authority = pki::Authority::Create(env, "bench").value();
    server = authority.IssueServer(env, "bench", {"127.0.0.1"}, std::chrono::hours(24)).value();
    Report("pki_ms", Seconds(env.Steady() - begin) * 1000, "ms");
    ca = authority.certificate_pem();
  }
  int port_pipe[2];
  if (pipe(port_pipe) != 0) return 1;
  const pid_t child = fork();
  if (child == 0) RunServer(server, port_pipe[1]);
  uint16_t port = 0;
  if (read(port_pipe[0], &port, sizeof port) != sizeof port) return 1;
  {
    RealEnv env(2);
    wire::TlsClientOptions tls;
    tls.ca_pem = ca;
    Bench bench{env, port, wire::TlsContext::Client(tls).value()};
    if (only.empty() || only == "gets") MeasureGets(bench);
    if (only.empty() || only == "stream") MeasureStream(bench);
    if (only.empty() || only == "watches") MeasureWatches(bench);
  }
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  return 0;
}

}  // namespace
}  // namespace gantry

int main(int argc, char** argv) { return gantry::Main(argc > 1 ? argv[1] : ""); }
