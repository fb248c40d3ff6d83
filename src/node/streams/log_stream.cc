#include "node/streams/log_stream.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include "base/env/notifier.h"
#include "node/os/fs.h"
#include "node/streams/log_file.h"

namespace gantry::node {
namespace asio = boost::asio;
namespace {

constexpr size_t kBlock = 64 << 10;
// The end of a container shows in no change of its log.
constexpr Duration kAliveLook = std::chrono::seconds(1);

class LogStream : public Stream {
 public:
  LogStream(Env& env, Executor executor, std::string path, client::LogOptions options,
            std::function<bool()> alive, CancelToken cancel)
      : env_(env),
        watch_(executor),
        path_(std::move(path)),
        options_(std::move(options)),
        alive_(std::move(alive)),
        cancel_(cancel),
        left_(options_.limit_bytes.value_or(std::numeric_limits<int64_t>::max())) {}
  ~LogStream() override { Close(); }

  Status Open() {
    file_.reset(open(path_.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file_) return FromErrno(errno, "open " + path_);
    offset_ = options_.tail_lines ? TailOffset(file_.get(), *options_.tail_lines) : 0;
    if (!options_.follow) return Status::Ok();
    UniqueFd inotify(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!inotify)
      return Status::Ok();  // the machine has no more of them: it is looked at every second
    inotify_add_watch(inotify.get(), path_.c_str(), IN_MODIFY | IN_MOVE_SELF);
    inotify_add_watch(inotify.get(), path_.substr(0, path_.rfind('/')).c_str(), IN_CREATE);
    watch_.assign(inotify.release());
    Arm();
    return Status::Ok();
  }

  Task<Result<size_t>> Read(std::span<char> into) override {
    while (!closed_ && !cancel_.cancelled()) {
      if (!ready_.empty()) {
        size_t n = std::min(into.size(), ready_.size());
        std::memcpy(into.data(), ready_.data(), n);
        ready_.erase(0, n);
        co_return n;
      }
      if (left_ <= 0) co_return size_t{0};
      // Look at the container first: what it wrote before it ended is then read below.
      bool alive = options_.follow && alive_();
      if (Fill()) continue;
      if (!options_.follow) co_return size_t{0};
      if (SwitchToNewFile()) continue;
      if (!alive) co_return size_t{0};
      co_await changed_->Wait(env_, cancel_, env_.Steady() + kAliveLook);
    }
    co_return Canceled("log stream closed");
  }
  Task<Status> Write(std::string_view) override {
    co_return Status(Code::kMethodNotAllowed, "a log is read only");
  }
  Task<Status> CloseWrite() override { co_return Status::Ok(); }
  void Close() override {
    closed_ = true;
    boost::system::error_code ignored;
    watch_.close(ignored);
    changed_->Notify();
  }

 private:
  void Arm() {
    watch_.async_wait(asio::posix::stream_descriptor::wait_read,
                      [fd = watch_.native_handle(), changed = changed_, this,
                       alive = std::weak_ptr<bool>(token_)](boost::system::error_code error) {
                        if (error || alive.expired()) return;
                        char buffer[4096];
                        while (read(fd, buffer, sizeof buffer) > 0) {
                        }
                        changed->Notify();
                        Arm();
                      });
  }

  // Reads on; true when there was something.
  bool Fill() {
    char block[kBlock];
    ssize_t n = pread(file_.get(), block, sizeof block, offset_);
    if (n <= 0) return false;
    offset_ += n;
    pending_.append(block, static_cast<size_t>(n));
    size_t at = 0;
    for (size_t end; (end = pending_.find('\n', at)) != std::string::npos; at = end + 1) {
      Take(std::string_view(pending_).substr(at, end - at));
    }
    pending_.erase(0, at);
    return true;
  }

  void Take(std::string_view raw) {
    std::optional<LogLine> line = ParseLogLine(raw);
    if (!line || left_ <= 0) return;
    if (options_.since && !past_since_) {
      std::optional<WallTime> time = ParseLogTime(line->time);
      if (time && *time < *options_.since) return;
      past_since_ = true;
    }
    std::string out;
    if (options_.timestamps && !in_partial_) {
      // conmon writes UTC as an offset.
      std::string_view time = line->time;
      const bool utc = time.ends_with("+00:00");
      if (utc) time.remove_suffix(6);
      out = std::string(time) + (utc ? "Z " : " ");
    }
    out += line->text;
    if (!line->partial) out += "\n";
    in_partial_ = line->partial;
    if (static_cast<int64_t>(out.size()) > left_) out.resize(static_cast<size_t>(left_));
    left_ -= static_cast<int64_t>(out.size());
    ready_ += out;
  }

  // After a rotation the path is another file. Goes on with the one that came after ours; true when
  // there may be more to read.
  bool SwitchToNewFile() {
    struct stat mine{}, theirs{};
    if (fstat(file_.get(), &mine) != 0 || stat(path_.c_str(), &theirs) != 0) return false;
    if (mine.st_ino == theirs.st_ino) return false;
    // What came into the old file between the last look and the rotation.
    if (Fill()) return true;
    std::vector<std::string> files = RotatedLogs(path_);
    files.push_back(path_);
    std::string after = files.front();
    for (size_t i = 0; i + 1 < files.size(); ++i) {
      if (stat(files[i].c_str(), &theirs) == 0 && theirs.st_ino == mine.st_ino)
        after = files[i + 1];
    }
    UniqueFd next(open(after.c_str(), O_RDONLY | O_CLOEXEC));
    if (!next) return false;
    // Rotated again just now: look anew.
    std::vector<std::string> now = RotatedLogs(path_);
    now.push_back(path_);
    if (now != files) return true;
    file_ = std::move(next);
    offset_ = 0;
    if (watch_.is_open())
      inotify_add_watch(watch_.native_handle(), after.c_str(), IN_MODIFY | IN_MOVE_SELF);
    return true;
  }

  Env& env_;
  asio::posix::stream_descriptor watch_;
  std::string path_;
  client::LogOptions options_;
  std::function<bool()> alive_;
  CancelToken cancel_;
  UniqueFd file_;
  int64_t offset_ = 0;
  int64_t left_;
  std::string pending_, ready_;
  bool past_since_ = false, in_partial_ = false, closed_ = false;
  std::shared_ptr<Notifier> changed_ = std::make_shared<Notifier>();
  std::shared_ptr<bool> token_ = std::make_shared<bool>(true);
};

}  // namespace

Result<std::unique_ptr<Stream>> OpenLogStream(Env& env, Executor executor, std::string path,
                                              client::LogOptions options,
                                              std::function<bool()> alive, CancelToken cancel) {
  auto stream = std::make_unique<LogStream>(env, executor, std::move(path), std::move(options),
                                            std::move(alive), cancel);
  GANTRY_TRY(stream->Open());
  return Result<std::unique_ptr<Stream>>(std::move(stream));
}

}  // namespace gantry::node
