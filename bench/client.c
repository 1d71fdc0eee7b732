/* A BuildKit client's traffic, as much of it as one core can make.
 *
 * client --to unix:PATH | PORT [--ca F --certificate F --key F] [--alpn] [--connections N] [--streams N] [--seconds T]
 *        [--octets N] [--rate N] [--fresh-trace] MODE
 *
 *   calls     unary ListWorkers on N connections x N streams, each stream at once again, for T seconds
 *   paced     the same on one connection, --rate a second, each timed from the moment it was due
 *   up, down  --octets on each stream through Control/Session, in messages that fill DATA frames of 16 KiB
 *   connect   connect, TLS handshake, one call, close; N at a time, for T seconds
 *   idle      N connections with one call each, then silence until stdin ends
 *   stall     a download with windows of 2 GiB that is not read; until stdin ends
 *   hold      an upload to an upstream that does not read; until stdin ends
 *
 * With --ca the connection is TLS 1.3 with a client certificate, and offers ALPN only with --alpn (stock buildx does not).
 * The header of a call is what buildx sends; --fresh-trace gives each call a new traceparent, as a tracing client does.
 * Prints one line of JSON; exits 1 if any call failed.
 */
#include "wire.h"

#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <sys/timerfd.h>

#define LATENCIES (1 << 21)

struct call {
  uint64_t due_ns;
  uint64_t left, at; /* of an upload: octets to send, position in the message */
  uint64_t received;
  bool asked;
  bool good;
};

static struct options {
  const char *mode, *to, *ca, *certificate, *key;
  bool alpn, fresh;
  int connections, streams, rate;
  double seconds;
  uint64_t octets;
} o = {.connections = 1, .streams = 1, .rate = 500, .seconds = 1};

static int epoll;
static SSL_CTX *tls;
static nghttp2_session_callbacks *callbacks;
static struct wire *wires;
static bool closing;      /* no new call is started any more */
static int open_calls, open_wires;
static uint64_t calls, failed, octets_moved;
static uint32_t *latencies_us;
static size_t latencies;
static uint8_t piece[PIECE_OCTETS];
static uint64_t next_due_ns; /* of the pace */
static uint64_t noise = 0x9e3779b97f4a7c15ull;
static char complaint[512];

static bool mode_is(const char *mode) { return strcmp(o.mode, mode) == 0; }
static bool bulk(void) { return mode_is("up") || mode_is("down") || mode_is("stall") || mode_is("hold"); }

static uint64_t random64(void) {
  noise ^= noise << 13, noise ^= noise >> 7, noise ^= noise << 17;
  return noise;
}

/* The first message of a Session is a word to the sink; an upload is pieces after it. */
static size_t say(uint8_t *to) {
  char word[48];
  int n = mode_is("down") || mode_is("stall") ? snprintf(word, sizeof word, "down %llu", (unsigned long long)o.octets)
                                             : snprintf(word, sizeof word, "%s", mode_is("hold") ? "hold" : "up");
  to[0] = to[1] = to[2] = to[3] = 0, to[4] = (uint8_t)(n + 2), to[5] = 0x0a, to[6] = (uint8_t)n;
  memcpy(to + 7, word, (size_t)n);
  return (size_t)n + 7;
}

static ssize_t read_upload(nghttp2_session *h2, int32_t id, uint8_t *to, size_t room, uint32_t *flags,
                           nghttp2_data_source *source, void *user) {
  (void)h2, (void)id, (void)user;
  struct call *c = source->ptr;
  if (!c->asked) {
    c->asked = true;
    if (c->left == 0) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)say(to);
  }
  size_t in_piece = PIECE_OCTETS - c->at, n = c->left < room ? (size_t)c->left : room;
  if (n > in_piece) n = in_piece;
  memcpy(to, piece + c->at, n);
  c->at = (c->at + n) % PIECE_OCTETS, c->left -= n;
  octets_moved += n;
  if (c->left == 0) *flags |= NGHTTP2_DATA_FLAG_EOF;
  return (ssize_t)n;
}

static ssize_t read_unary(nghttp2_session *h2, int32_t id, uint8_t *to, size_t room, uint32_t *flags,
                          nghttp2_data_source *source, void *user) {
  (void)h2, (void)id, (void)room, (void)source, (void)user;
  memset(to, 0, 5); /* an empty ListWorkersRequest */
  *flags |= NGHTTP2_DATA_FLAG_EOF;
  return 5;
}

static void start_call(struct wire *w, uint64_t due_ns) {
  struct call *c = calloc(1, sizeof *c);
  char trace[64], uuid[40];
  c->due_ns = due_ns;
  c->left = mode_is("up") || mode_is("hold") ? o.octets : 0;
  unsigned long long a = random64(), b = random64();
  snprintf(trace, sizeof trace, "00-4bf92f3577b34da6a3ce929d0e0e4736-%016llx-01", a);
  snprintf(uuid, sizeof uuid, "%08llx-%04llx-4000-8000-%012llx", a & 0xffffffff, b & 0xffff, b >> 16);
  const char *path = bulk() ? "/moby.buildkit.v1.Control/Session" : "/moby.buildkit.v1.Control/ListWorkers";
  nghttp2_nv head[12] = {FIELD(":method", "POST"),
                         FIELD(":scheme", "http"),
                         FIELD(":path", path),
                         FIELD(":authority", "localhost"),
                         FIELD("content-type", "application/grpc"),
                         FIELD("user-agent", "grpc-go/1.81.1"),
                         FIELD("te", "trailers"),
                         FIELD("grpc-accept-encoding", "gzip")};
  size_t n = 8;
  if (bulk()) head[n++] = (nghttp2_nv)FIELD("x-docker-expose-session-uuid", uuid);
  if (o.fresh) head[n++] = (nghttp2_nv)FIELD("traceparent", trace);
  nghttp2_data_provider provider = {.source.ptr = c, .read_callback = bulk() ? read_upload : read_unary};
  if (nghttp2_submit_request(w->h2, NULL, head, n, &provider, c) < 0) {
    free(c);
    w->dead = true;
    return;
  }
  open_calls++;
}

static int on_header(nghttp2_session *h2, const nghttp2_frame *frame, const uint8_t *name, size_t name_octets,
                     const uint8_t *value, size_t octets, uint8_t flags, void *user) {
  (void)flags, (void)user;
  struct call *c = nghttp2_session_get_stream_user_data(h2, frame->hd.stream_id);
  if (!c) return 0;
  if (name_octets == 11 && memcmp(name, "grpc-status", 11) == 0) c->good = octets == 1 && value[0] == '0';
  if (name_octets == 12 && octets && memcmp(name, "grpc-message", 12) == 0 && !complaint[0])
    snprintf(complaint, sizeof complaint, "%.*s", (int)octets, value);
  return 0;
}

static int on_data(nghttp2_session *h2, uint8_t flags, int32_t id, const uint8_t *data, size_t octets, void *user) {
  (void)flags, (void)data;
  struct call *c = nghttp2_session_get_stream_user_data(h2, id);
  if (!c) return 0;
  c->received += octets;
  if (mode_is("down")) octets_moved += octets;
  if (mode_is("stall") && c->received > 65536) ((struct wire *)user)->paused = true;
  return 0;
}

static int on_close(nghttp2_session *h2, int32_t id, uint32_t code, void *user) {
  struct wire *w = user;
  struct call *c = nghttp2_session_get_stream_user_data(h2, id);
  if (!c) return 0;
  bool whole = mode_is("down") ? c->received == o.octets : mode_is("up") ? c->left == 0 : c->received > 5;
  uint64_t now = now_ns();
  open_calls--;
  if (c->good && code == 0 && whole) {
    calls++;
    if (latencies < LATENCIES) latencies_us[latencies++] = (uint32_t)((now - c->due_ns) / 1000);
  } else {
    failed++;
    if (!complaint[0])
      snprintf(complaint, sizeof complaint, "stream %d: reset code %u, %llu octets received", id, code,
               (unsigned long long)c->received);
  }
  free(c);
  if (!closing && mode_is("calls")) start_call(w, now);
  if (mode_is("connect")) nghttp2_session_terminate_session(h2, 0);
  return 0;
}

static void open_connection(struct wire *w) {
  bool unix_socket = strncmp(o.to, "unix:", 5) == 0;
  wire_open(w, unix_socket ? connect_unix(o.to + 5) : connect_tcp(atoi(o.to)), tls, false, epoll);
  if (w->ssl && o.alpn) SSL_set_alpn_protos(w->ssl, (const unsigned char *)"\2h2", 3);
  int32_t window = mode_is("stall") ? INT32_MAX : WINDOW_OCTETS;
  nghttp2_session_client_new(&w->h2, callbacks, w);
  nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
                                       {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, (uint32_t)window}};
  nghttp2_submit_settings(w->h2, 0, settings, 2);
  nghttp2_session_set_local_window_size(w->h2, 0, 0, window);
  open_wires++;
}

static void lose(struct wire *w) {
  if (!closing && !mode_is("connect")) {
    if (!complaint[0]) snprintf(complaint, sizeof complaint, "the connection was lost");
    failed++;
    closing = true;
  }
  wire_close(w);
  open_wires--;
}

/* One round of waiting; `timer` is the pace's, or -1. */
static void wait_once(int timeout_ms, int timer) {
  struct epoll_event events[512];
  int n = epoll_wait(epoll, events, 512, timeout_ms);
  for (int i = 0; i < n; i++) {
    struct wire *w = events[i].data.ptr;
    if (w == NULL) {
      uint64_t ticks, step = 1000000000ull / (uint64_t)o.rate;
      if (read(timer, &ticks, sizeof ticks) != sizeof ticks) continue;
      w = &wires[0];
      for (; ticks && !w->dead; ticks--, next_due_ns += step) start_call(w, next_due_ns);
      if (!w->dead) wire_send(w);
      if (!w->dead) wire_arm(w, epoll);
      continue;
    }
    if (w->dead) continue;
    wire_turn(w, epoll);
    if (w->dead) {
      lose(w);
      if (mode_is("connect") && !closing) {
        open_connection(w);
        start_call(w, now_ns());
        wire_turn(w, epoll);
      }
    }
  }
}

static bool stdin_ended(void) {
  struct pollfd p = {.fd = 0, .events = POLLIN};
  char c;
  return poll(&p, 1, 0) > 0 && read(0, &c, 1) <= 0;
}

static int by_size(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

static uint32_t percentile(double share) { return latencies ? latencies_us[(size_t)(share * (double)(latencies - 1))] : 0; }

static void read_options(int argc, char **argv) {
  static const struct option names[] = {
      {"to", 1, 0, 't'},      {"ca", 1, 0, 'a'},     {"certificate", 1, 0, 'c'}, {"key", 1, 0, 'k'},  {"alpn", 0, 0, 'l'},
      {"connections", 1, 0, 'n'}, {"streams", 1, 0, 'm'}, {"seconds", 1, 0, 's'}, {"octets", 1, 0, 'o'}, {"rate", 1, 0, 'r'},
      {"fresh-trace", 0, 0, 'f'}, {0, 0, 0, 0}};
  for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) switch (c) {
      case 't': o.to = optarg; break;
      case 'a': o.ca = optarg; break;
      case 'c': o.certificate = optarg; break;
      case 'k': o.key = optarg; break;
      case 'l': o.alpn = true; break;
      case 'n': o.connections = atoi(optarg); break;
      case 'm': o.streams = atoi(optarg); break;
      case 's': o.seconds = atof(optarg); break;
      case 'o': o.octets = strtoull(optarg, NULL, 10); break;
      case 'r': o.rate = atoi(optarg); break;
      case 'f': o.fresh = true; break;
      default: exit(2);
    }
  if (!o.to || optind + 1 != argc) {
    fprintf(stderr, "client --to unix:PATH|PORT [options] MODE; see the head of client.c\n");
    exit(2);
  }
  o.mode = argv[optind];
}

static void start_all(void) {
  wires = calloc((size_t)o.connections, sizeof *wires);
  int streams = mode_is("paced") ? 0 : mode_is("connect") || mode_is("idle") ? 1 : o.streams;
  for (int i = 0; i < o.connections; i++) {
    open_connection(&wires[i]);
    for (int j = 0; j < streams; j++) start_call(&wires[i], now_ns());
    wire_turn(&wires[i], epoll);
    /* A thousand handshakes at once would measure the listen queue. */
    while (mode_is("idle") && open_calls > 8) wait_once(1000, -1);
  }
}

static int start_pace(void) {
  uint64_t step = 1000000000ull / (uint64_t)o.rate;
  next_due_ns = now_ns() + 10 * step; /* the handshake comes first */
  struct itimerspec every = {{0, (long)step}, {(time_t)(next_due_ns / 1000000000ull), (long)(next_due_ns % 1000000000ull)}};
  int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  timerfd_settime(timer, TFD_TIMER_ABSTIME, &every, NULL);
  struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
  epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &e);
  return timer;
}

int main(int argc, char **argv) {
  read_options(argc, argv);
  signal(SIGPIPE, SIG_IGN);
  raise_file_limit();
  fill_piece(piece);
  noise ^= now_ns() * 2654435761u;
  latencies_us = malloc(LATENCIES * sizeof *latencies_us);
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
  epoll = epoll_create1(EPOLL_CLOEXEC);
  if (o.ca) tls = tls_context(TLS_client_method(), o.ca, o.certificate, o.key);

  uint64_t start = now_ns();
  start_all();
  int timer = mode_is("paced") ? start_pace() : -1;
  if (mode_is("idle") || mode_is("stall") || mode_is("hold")) {
    bool waiting = !mode_is("idle");
    while (mode_is("idle") && open_calls && !failed) wait_once(1000, -1);
    for (uint64_t moved = 1; waiting && !failed && !(mode_is("stall") && wires[0].paused);) {
      uint64_t before = octets_moved;
      for (uint64_t until = now_ns() + 300000000ull; now_ns() < until;) wait_once(50, -1);
      waiting = !mode_is("hold") || (moved = octets_moved - before) > 0;
    }
    puts("still");
    fflush(stdout);
    while (!stdin_ended() && !failed) {
      if (mode_is("idle") || mode_is("hold")) wait_once(50, -1);
      else usleep(50000);
    }
    closing = true;
  } else if (mode_is("up") || mode_is("down")) {
    while (open_calls && open_wires) wait_once(1000, -1);
  } else {
    uint64_t end = start + (uint64_t)(o.seconds * 1e9);
    while (now_ns() < end && open_wires) wait_once(100, timer);
  }
  double took = 1e-9 * (double)(now_ns() - start);
  uint64_t counted = calls;
  closing = true;
  if (timer >= 0) close(timer);
  /* What was started may end, so that no proxy sees a reset. */
  if (mode_is("calls") || mode_is("paced") || mode_is("connect"))
    for (uint64_t end = now_ns() + 5000000000ull; open_calls > 0 && open_wires > 0 && now_ns() < end;) wait_once(100, -1);
  qsort(latencies_us, latencies, sizeof *latencies_us, by_size);
  for (char *p = complaint; *p; p++)
    if (*p == '"' || *p == '\\' || *p < ' ') *p = '\'';
  printf("{\"calls\": %llu, \"failed\": %llu, \"seconds\": %.6f, \"octets\": %llu, \"p50_us\": %u, \"p99_us\": %u, "
         "\"load_cpu_seconds\": %.6f, \"complaint\": \"%s\"}\n",
         (unsigned long long)counted, (unsigned long long)failed, took, (unsigned long long)octets_moved, percentile(0.5),
         percentile(0.99), cpu_seconds(), complaint);
  return failed ? 1 : 0;
}
