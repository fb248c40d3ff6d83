#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "api/coordination/v1/lease.pb.h"
#include "api/object.h"
#include "base/env/cancel.h"
#include "base/env/env.h"
#include "base/env/notifier.h"
#include "base/status.h"
#include "client/client.h"

namespace gantry::node {

// How often a node says that it lives, and for how long it is believed.
struct LeaseTimes {
  Duration renew = std::chrono::seconds(10);
  Duration duration = std::chrono::seconds(40);  // whole seconds
  bool operator==(const LeaseTimes&) const = default;
};

// A renewal that was granted: when it had been asked for, and for how long it holds.
struct Renewal {
  SteadyTime asked;
  Duration duration;
};

// Where the last renewal is written down: it survives the process, but no reboot.
class RenewalRecord {
 public:
  virtual ~RenewalRecord() = default;
  virtual std::optional<Renewal> Read() = 0;
  virtual void Write(const Renewal& renewal) = 0;
};

// In a file of a directory that a reboot empties.
class RenewalFile final : public RenewalRecord {
 public:
  explicit RenewalFile(std::string file) : file_(std::move(file)) {}
  std::optional<Renewal> Read() override;
  void Write(const Renewal& renewal) override;

 private:
  const std::string file_;
};

// The node's Lease in kube-node-lease. Threading: one strand.
class NodeLease {
 public:
  // `env` and `client` outlive it.
  NodeLease(Env& env, client::Client& client, std::string node_name, LeaseTimes times,
            std::unique_ptr<RenewalRecord> record);

  // Called after each renewal that was granted.
  void OnGranted(std::function<void()> call) { on_granted_ = std::move(call); }

  // Writes the lease anew, as owned by the node with this uid.
  Task<Status> Renew(std::string node_uid);
  // Renews it whenever it is time, sooner where that failed, until `cancel`.
  Task<> Keep(std::function<std::string()> node_uid, CancelToken cancel);

  // When the last renewal that was granted had been asked for, by this process or the one before.
  std::optional<SteadyTime> renewed() const { return renewed_; }

  const LeaseTimes& times() const { return times_; }
  // What the lease said when it was last renewed; what it says by default where it never was.
  const LeaseTimes& granted() const { return granted_; }
  // From the next renewal on, for which Keep does not wait.
  void SetTimes(LeaseTimes times);

 private:
  Env& env_;
  client::Client& client_;
  const std::string node_name_;
  const std::unique_ptr<RenewalRecord> record_;
  std::function<void()> on_granted_;
  Notifier times_changed_;
  LeaseTimes times_, granted_;
  std::optional<SteadyTime> renewed_;
  api::Ref<api::coordination::v1::Lease> lease_;  // as it was last seen
};

}  // namespace gantry::node
