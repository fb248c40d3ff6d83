#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "apiserver/authn/user.h"
#include "cli/failover.h"
#include "client/client.h"
#include "controllers/all.h"
#include "sim/backend.h"

namespace gantry::sim {

// Lets a test put faults into the controllers of a server.
using ChangeControllers = std::function<void(std::vector<controllers::Controller>& all)>;

// A machine with a gantry server: the real API server, and the real controllers and scheduler while
// it leads (always, when it has the store for itself). Its program is started again whenever it
// ends. Life cycle: Start; ends with Shutdown. Threading: one thread.
class Server {
 public:
  class Life;

  Server(World& world, Network& network, Truth& truth, Backend& backend, std::string name,
         cli::FailoverProfile failover, ChangeControllers change);
  ~Server();

  const std::string& name() const { return name_; }
  HostId host() const { return host_; }
  MachineClock& clock() { return clock_; }

  void Start();
  // kill -9, or the power; stays down.
  void Crash(std::string_view why);
  bool up() const { return life_ != nullptr; }
  // Null while it is down.
  std::shared_ptr<Process> process() const;
  bool leads() const;
  // Serves the API.
  bool serving() const;
  // What its store has shown it; 0 while it does not serve.
  int64_t revision() const;

  // The run that is there now; null: none. Keeps what a request works with.
  std::shared_ptr<Life> life() const { return life_; }

  // A client within the run, for requests that come in.
  static client::Client& ClientOf(Life& life, const apiserver::UserInfo& user);

  // Crashes it for good and waits until nothing is left of any run.
  void Shutdown();

 private:
  void Exit(Life* life, std::string_view why);
  Task<> Run(std::shared_ptr<Life> life);
  Task<> Bury(std::shared_ptr<Life> life);

  World& world_;
  Network& network_;
  Truth& truth_;
  Backend& backend_;
  const std::string name_;
  const cli::FailoverProfile failover_;
  const ChangeControllers change_;
  MachineClock clock_;
  HostId host_ = 0;
  bool wanted_ = false;
  std::shared_ptr<Life> life_;
  Gate burials_;
};

}  // namespace gantry::sim
