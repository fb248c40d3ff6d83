#include "sim/faults.h"

#include <utility>

namespace gantry::sim {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

// One row for each thing that can go wrong.
struct Faults::Kind {
  int weight;
  void (*strike)(Faults& faults);
};

const std::vector<Faults::Kind>& Faults::Kinds() {
  static const std::vector<Kind> kinds = {
      // An agent dies; its containers live on.
      {3, [](Faults& f) { f.CrashAgent(f.AnyAgent()); }},
      // A machine loses its power.
      {2,
       [](Faults& f) {
         Agent& agent = f.AnyAgent();
         agent.Crash("the power fails");
         agent.machine().LosePower();
         f.Undo(f.dice_.Between(seconds(5), seconds(100)), [&agent] { agent.Start(); });
       }},
      {2, [](Faults& f) { f.CrashServer(f.AnyServer()); }},
      {3,
       [](Faults& f) {
         if (Server* leader = f.Leader()) f.CrashServer(*leader);
       }},
      // A process dies in the middle of something, at whatever await that is.
      {4,
       [](Faults& f) {
         const bool server = f.dice_.Percent(50);
         Agent* agent = server ? nullptr : &f.AnyAgent();
         Server* victim = server ? &f.AnyServer() : nullptr;
         auto die = [&f, agent, victim, round = f.round_] {
           if (!f.on_ || round != f.round_) return;
           if (victim != nullptr) {
             f.CrashServer(*victim);
           } else {
             f.CrashAgent(*agent);
           }
         };
         f.world_.env().AfterHandlers(1 + f.dice_.Below(3000), std::move(die));
       }},
      // An agent loses one server, or all of them.
      {3,
       [](Faults& f) {
         std::vector<HostId> servers;
         const bool all = f.dice_.Percent(50);
         for (const auto& server : f.cluster_.servers()) {
           if (all || f.dice_.Percent(50)) servers.push_back(server->host());
         }
         f.CutOff(f.AnyAgent().host(), servers, f.dice_.Between(seconds(1), seconds(100)));
       }},
      // A server loses the store, or (rarely) all do.
      {3,
       [](Faults& f) {
         if (f.cluster_.etcd() == nullptr) return;
         const HostId etcd = f.cluster_.etcd()->etcd().host();
         const Duration duration = f.dice_.Between(milliseconds(500), seconds(40));
         const bool all = f.dice_.Percent(15);
         Server& one = f.AnyServer();
         for (const auto& server : f.cluster_.servers()) {
           if (all || server.get() == &one) f.CutOff(server->host(), {etcd}, duration);
         }
       }},
      // Bad weather on all wires.
      {2,
       [](Faults& f) {
         Network& network = f.cluster_.network();
         network.lost_permille = f.dice_.Below(60);
         network.most_delay = f.dice_.Between(milliseconds(2), milliseconds(800));
         f.Undo(f.dice_.Between(seconds(2), seconds(30)), [&network] {
           network.lost_permille = 0;
           network.most_delay = milliseconds(2);
         });
       }},
      // A machine is slow, and so is all that it says.
      {1,
       [](Faults& f) {
         Agent& agent = f.AnyAgent();
         const int factor = 2 + f.dice_.Below(50);
         agent.machine().slowness = factor;
         Network& network = f.cluster_.network();
         network.SetSlowness(agent.host(), factor);
         f.Undo(f.dice_.Between(seconds(5), seconds(60)), [&agent, &network] {
           agent.machine().slowness = 1;
           network.SetSlowness(agent.host(), 1);
         });
       }},
      // A clock jumps.
      {1,
       [](Faults& f) {
         const bool server = f.dice_.Percent(50);
         MachineClock& clock = server ? f.AnyServer().clock() : f.AnyAgent().machine().clock();
         clock.offset = f.dice_.Percent(50) ? f.dice_.Between(-seconds(30), seconds(30))
                                            : f.dice_.Between(-hours(1), hours(1));
         f.world_.Tell("a clock jumps");
         f.Undo(f.dice_.Between(seconds(10), seconds(120)), [&clock] { clock.offset = {}; });
       }},
      // A process stands still for a while.
      {2,
       [](Faults& f) {
         std::shared_ptr<Process> process =
             f.dice_.Percent(50) ? f.AnyServer().process() : f.AnyAgent().process();
         if (!process) return;
         f.world_.Tell(process->name() + " stands still");
         process->PauseFor(f.dice_.Between(milliseconds(100), seconds(25)));
       }},
      // Containers cannot be made.
      {1,
       [](Faults& f) {
         Machine& machine = f.AnyAgent().machine();
         machine.runtime_refuses = true;
         f.Undo(f.dice_.Between(seconds(1), seconds(40)),
                [&machine] { machine.runtime_refuses = false; });
       }},
      // Images cannot be had.
      {1,
       [](Faults& f) {
         Machine& machine = f.AnyAgent().machine();
         machine.registry_down = true;
         f.Undo(f.dice_.Between(seconds(1), seconds(60)),
                [&machine] { machine.registry_down = false; });
       }},
      // The store's disk is full.
      {1,
       [](Faults& f) {
         if (f.cluster_.disk() == nullptr) return;
         Disk& disk = f.cluster_.disk()->disk();
         disk.full = true;
         f.world_.Tell("the disk is full");
         f.Undo(f.dice_.Between(milliseconds(10), seconds(10)), [&disk] { disk.full = false; });
       }},
      // The store's disk is slow.
      {1,
       [](Faults& f) {
         if (f.cluster_.disk() == nullptr) return;
         std::shared_ptr<Process> process = f.AnyServer().process();
         if (process) process->SlowThreads(milliseconds(1), milliseconds(400));
       }},
      // The power fails inside of a write.
      {4,
       [](Faults& f) {
         if (f.cluster_.disk() == nullptr) return;
         f.cluster_.disk()->disk().steps_until_crash = f.dice_.Below(12);
       }},
  };
  return kinds;
}

Faults::Faults(Cluster& cluster)
    : cluster_(cluster), world_(cluster.world()), dice_(cluster.world().dice()) {
  if (cluster_.disk() == nullptr) return;
  cluster_.disk()->disk().on_crash = [this] { CrashServer(*cluster_.servers().front()); };
}

void Faults::Start() {
  on_ = true;
  ++round_;
  Next();
}

void Faults::Next() {
  auto strike = [this, round = round_] {
    if (!on_ || round != round_) return;
    int sum = 0;
    for (const Kind& kind : Kinds())
      sum += kind.weight;
    int pick = dice_.Below(sum);
    for (const Kind& kind : Kinds()) {
      pick -= kind.weight;
      if (pick >= 0) continue;
      kind.strike(*this);
      break;
    }
    Next();
  };
  world_.After(dice_.Between(milliseconds(100), seconds(12)), std::move(strike));
}

void Faults::Undo(Duration after, std::function<void()> undo) {
  auto act = [this, round = round_, undo = std::move(undo)] {
    if (round == round_) undo();
  };
  world_.After(after, std::move(act));
}

Server& Faults::AnyServer() {
  const auto& servers = cluster_.servers();
  return *servers[static_cast<size_t>(dice_.Below(static_cast<int>(servers.size())))];
}

Agent& Faults::AnyAgent() {
  const auto& agents = cluster_.agents();
  return *agents[static_cast<size_t>(dice_.Below(static_cast<int>(agents.size())))];
}

Server* Faults::Leader() {
  for (const auto& server : cluster_.servers()) {
    if (server->leads()) return server.get();
  }
  return nullptr;
}

void Faults::CrashServer(Server& server) {
  server.Crash("killed");
  if (cluster_.disk() != nullptr) cluster_.disk()->disk().Crash();
  Undo(dice_.Between(milliseconds(100), seconds(20)), [&server] { server.Start(); });
}

void Faults::CrashAgent(Agent& agent) {
  agent.Crash("killed");
  Undo(dice_.Between(milliseconds(100), seconds(70)), [&agent] { agent.Start(); });
}

void Faults::CutOff(HostId host, const std::vector<HostId>& from, Duration duration) {
  Network& network = cluster_.network();
  for (HostId other : from) {
    world_.Tell(network.NameOf(host) + " is cut off from " + network.NameOf(other));
    network.Cut(host, other);
    Undo(duration, [&network, host, other] { network.Heal(host, other); });
  }
}

}  // namespace gantry::sim
