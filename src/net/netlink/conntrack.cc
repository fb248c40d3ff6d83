#include "net/netlink/conntrack.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <algorithm>

namespace gantry::net {
namespace {

struct Tuple {
  IpAddress source, destination;
  uint8_t protocol = 0;
  uint16_t source_port = 0, destination_port = 0;
};

IpAddress ReadIp(std::span<const char> value) {
  IpAddress ip;
  if (value.size() != 4 && value.size() != 16) return ip;
  ip.size = static_cast<uint8_t>(value.size());
  std::copy(value.begin(), value.end(), ip.bytes.begin());
  return ip;
}

Tuple ParseTuple(std::span<const char> payload) {
  Tuple tuple;
  ForEachAttribute(payload, [&](uint16_t part, std::span<const char> nested) {
    ForEachAttribute(nested, [&](uint16_t type, std::span<const char> value) {
      if (part == CTA_TUPLE_IP) {
        if (type == CTA_IP_V4_SRC || type == CTA_IP_V6_SRC) tuple.source = ReadIp(value);
        if (type == CTA_IP_V4_DST || type == CTA_IP_V6_DST) tuple.destination = ReadIp(value);
      }
      if (part != CTA_TUPLE_PROTO) return;
      if (type == CTA_PROTO_NUM) tuple.protocol = ReadAs<uint8_t>(value);
      if (type == CTA_PROTO_SRC_PORT)
        tuple.source_port = __builtin_bswap16(ReadAs<uint16_t>(value));
      if (type == CTA_PROTO_DST_PORT)
        tuple.destination_port = __builtin_bswap16(ReadAs<uint16_t>(value));
    });
  });
  return tuple;
}

constexpr uint16_t MessageType(uint8_t message) { return NFNL_SUBSYS_CTNETLINK << 8 | message; }

nfgenmsg Header(uint8_t family) {
  nfgenmsg header{};
  header.nfgen_family = family;
  header.version = NFNETLINK_V0;
  return header;
}

Result<int> Delete(bool unanswered_only,
                   const std::function<bool(const ConntrackFlow& flow)>& stale) {
  GANTRY_ASSIGN(NetlinkSocket socket, NetlinkSocket::Open(NETLINK_NETFILTER));
  MessageWriter message;
  message.Begin(MessageType(IPCTNL_MSG_CT_GET), NLM_F_REQUEST | NLM_F_DUMP, socket.NextSequence());
  message.PutHeader(Header(AF_UNSPEC));
  if (unanswered_only) {
    // Older kernels take no notice and send all.
    message.PutBe32(CTA_STATUS, 0);
    message.PutBe32(CTA_STATUS_MASK, IPS_SEEN_REPLY);
  }
  // What identifies a stale flow is kept as the kernel wrote it and sent back as it is.
  struct Doomed {
    uint8_t family;
    std::vector<uint8_t> origin;
  };
  std::vector<Doomed> doomed;
  GANTRY_TRY(socket.Dump(
      message, "list tracked connections", [&](uint16_t, std::span<const char> payload) {
        if (payload.size() < sizeof(nfgenmsg)) return;
        std::span<const char> origin;
        Tuple asked, reply;
        uint32_t status = 0;
        ForEachAttribute(payload.subspan(sizeof(nfgenmsg)),
                         [&](uint16_t type, std::span<const char> value) {
                           if (type == CTA_TUPLE_ORIG) {
                             origin = value;
                             asked = ParseTuple(value);
                           }
                           if (type == CTA_TUPLE_REPLY) reply = ParseTuple(value);
                           if (type == CTA_STATUS)
                             status = __builtin_bswap32(ReadAs<uint32_t>(value));
                         });
        ConntrackFlow flow;
        flow.protocol = asked.protocol;
        flow.source = asked.source;
        flow.destination = asked.destination;
        flow.destination_port = asked.destination_port;
        flow.replier = reply.source;
        flow.replier_port = reply.source_port;
        flow.answered = (status & IPS_SEEN_REPLY) != 0;
        if ((unanswered_only && flow.answered) || !stale(flow)) return;
        doomed.push_back({asked.source.is_v6() ? uint8_t{AF_INET6} : uint8_t{AF_INET},
                          {origin.begin(), origin.end()}});
      }));
  int deleted = 0;
  for (const auto& [family, origin] : doomed) {
    message.Clear();
    message.Begin(MessageType(IPCTNL_MSG_CT_DELETE), NLM_F_REQUEST | NLM_F_ACK,
                  socket.NextSequence());
    message.PutHeader(Header(family));
    message.Put(CTA_TUPLE_ORIG | NLA_F_NESTED, origin);
    Status status = socket.Call(message, "forget a tracked connection");
    if (!status.ok() && status.code() != Code::kNotFound) return status;
    ++deleted;
  }
  return deleted;
}

}  // namespace

Result<int> DeleteFlows(uint8_t protocol,
                        const std::function<bool(const ConntrackFlow& flow)>& stale) {
  return Delete(
      false, [&](const ConntrackFlow& flow) { return flow.protocol == protocol && stale(flow); });
}

Result<int> DeleteUnansweredFlows(const std::function<bool(const ConntrackFlow& flow)>& stale) {
  return Delete(true, stale);
}

}  // namespace gantry::net
