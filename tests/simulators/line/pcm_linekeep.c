/*
 * A telephone line for ALSA: a capture device that plays a feed file as if somebody were talking, and an output
 * into the same line.
 *
 * Promise: frame k of the feed is heard at `started` + k / (rate * speed) by CLOCK_MONOTONIC, bit for bit,
 * whoever listens and however often they hang up and come back. The line lives on its own; this plugin only
 * opens a window on it. After the feed's end there is silence, or the feed again (repeat 1).
 *
 *     pcm_type.linekeep_line { lib "/path/of/this.so" }
 *     pcm.NAME { type linekeep_line  feed "/path/raw"  knobs "/path/dir"  channels 1  rate 8000  speed 1.0  repeat 0
 *                echo 0.5 }
 *
 * What is played on NAME sounds on the line while it is played, and is heard by whoever captures from it, `echo`
 * times as loud as it was played: the side tone of a coupler on two wires. Played frames lie in the file "spoken" in
 * the knobs directory, each at the place of its line frame, whether they are heard or not. What is dropped before it
 * has sounded is taken out again.
 *
 * The feed is raw S16_LE, interleaved. Knobs are files in the knobs directory; tests and the demo make and
 * remove them, the plugin looks at every call:
 *     started    written at the first open: CLOCK_MONOTONIC in ns at which frame 0 of the feed is heard
 *     in-use     locked while the device is open: a second opening fails with EBUSY, as with a real card
 *     busy       opening fails with EBUSY
 *     unplugged  opening fails with ENODEV, an open device answers ENODEV for ever (close and open again)
 *     silence    zeros are heard instead of the feed; time goes on
 *     decoupled  what is played does not reach the line
 *     stalled    no frames come although the device stays open; what the line says meanwhile is lost
 *     overrun    holds a number of frames; taken (removed) once: the stream overruns, and exactly so many
 *                frames are missing when it comes back, counted from the first one that had not been read
 *     underrun   taken once: what is played breaks off with an underrun
 * Overruns and underruns also arise truly: an application that leaves a whole buffer unread, or an empty one unfilled,
 * gets EPIPE.
 *
 * Two counts are kept apart: a *line frame* counts from `started`, a *stream frame* from the last prepare, as
 * ALSA does. line = stream + base, and a stall moves the base on.
 */
#include <alsa/asoundlib.h>
#include <alsa/pcm_external.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000LL
#define LOOK_NS 150000000LL /* how often a device without frames looks at its knobs; longer than a block of 100 ms */

struct line {
    snd_pcm_ioplug_t io;
    int feed, knobs, in_use, spoken; /* file descriptors; the poll timer is io.poll_fd */
    unsigned int channels, rate;
    double speed, echo;
    bool repeat, plays; /* plays: this is the output */
    int64_t started_ns;  /* when line frame 0 is heard */
    int64_t feed_frames; /* length of the feed */
    int64_t base;        /* line frame of stream frame 0 */
    int64_t moved_at, moved_by; /* from that stream frame on so many line frames were left out (a stall) */
    int64_t heard;       /* stream frames that have arrived */
    int64_t taken;       /* stream frames that the application has read, or written */
    int64_t deaf_until;  /* line frame before which an overrun keeps the stream from starting */
    int64_t avail_min;
    int64_t armed_ns; /* when the poll timer fires, or fired */
    bool stalled;
};

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* A double holds 104 days in ns exactly, and a rising product never falls back when cut to whole frames. */
static int64_t line_now(const struct line *line)
{
    return (int64_t)((double)(now_ns() - line->started_ns) * line->rate * line->speed / NS_PER_S);
}

static int64_t line_frame_of(const struct line *line, int64_t stream_frame)
{
    return line->base + stream_frame + (stream_frame >= line->moved_at ? line->moved_by : 0);
}

static bool knob(const struct line *line, const char *name)
{
    return faccessat(line->knobs, name, F_OK, 0) == 0;
}

/* The number in a knob's file; -1 if there is none, or it is being written just now. */
static int64_t knob_number(const struct line *line, const char *name)
{
    char text[32] = "";
    int64_t number = -1;
    int fd = openat(line->knobs, name, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0)
        sscanf(text, "%" SCNd64, &number);
    if (fd >= 0)
        close(fd);
    return number;
}

/* Poll must wake when avail_min frames wait, not sooner (else every read is a crumb; hence 1 us more, against
 * rounding), and while none come (stalled, deaf) often enough to see the knobs. What lies in the past fires at
 * once. A timer that stands well is left alone: setting it is the dearest call here. */
static void arm_timer(struct line *line)
{
    int64_t wanted = line->taken + line->avail_min - (line->plays ? (int64_t)line->io.buffer_size : 0);
    int64_t now = now_ns(), frame = line_frame_of(line, wanted);
    int64_t due = line->started_ns + (int64_t)((double)frame * NS_PER_S / (line->rate * line->speed)) + 1000;
    if ((line->stalled && line->heard < wanted) || due > now + LOOK_NS)
        due = line->armed_ns > now && line->armed_ns <= now + LOOK_NS ? line->armed_ns : now + LOOK_NS;
    if (line->armed_ns == due)
        return;
    line->armed_ns = due;
    struct itimerspec when = {.it_value = {due / NS_PER_S, due % NS_PER_S}};
    timerfd_settime(line->io.poll_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* Bring `heard` up to the present. During a stall it stands still; afterwards the line has moved on. */
static void listen_to_line(struct line *line)
{
    bool stalled_now = knob(line, "stalled");
    int64_t arrived = line_now(line) - line_frame_of(line, line->heard);
    if (arrived > 0 && line->stalled) {
        if (line->heard > line->moved_at) /* what came before an older stall has long been read */
            line->base += line->moved_by, line->moved_by = 0;
        line->moved_at = line->heard;
        line->moved_by += arrived;
    } else if (arrived > 0) {
        line->heard += arrived;
    }
    line->stalled = stalled_now;
}

/* The same question of an output: how much has sounded. */
static snd_pcm_sframes_t output_pointer(struct line *line)
{
    line->heard = line_now(line) - line->base;
    if (line->heard > line->taken)
        return -EPIPE; /* the application came too late: its buffer is empty */
    if (knob(line, "underrun") && unlinkat(line->knobs, "underrun", 0) == 0)
        return -EPIPE;
    arm_timer(line);
    return line->heard % line->io.buffer_size;
}

/* ALSA asks: how far has the card come? Also where knobs take effect. Negative means overrun. */
static snd_pcm_sframes_t line_pointer(snd_pcm_ioplug_t *io)
{
    struct line *line = io->private_data;
    if (knob(line, "unplugged")) { /* a negative answer would mean overrun; the state says ENODEV from now on */
        snd_pcm_ioplug_set_state(io, SND_PCM_STATE_DISCONNECTED);
        return line->heard % io->buffer_size;
    }
    if (io->state != SND_PCM_STATE_RUNNING)
        return line->heard % io->buffer_size;
    if (line->plays)
        return output_pointer(line);
    listen_to_line(line);
    int64_t lose = knob_number(line, "overrun");
    if (lose >= 0 && unlinkat(line->knobs, "overrun", 0) == 0) {
        line->deaf_until = line_frame_of(line, line->taken) + lose;
        return -EPIPE;
    }
    if (line->heard - line->taken >= (int64_t)io->buffer_size)
        return -EPIPE; /* the application came too late: its buffer is full */
    arm_timer(line);
    return line->heard % io->buffer_size;
}

static int line_start(snd_pcm_ioplug_t *io)
{
    struct line *line = io->private_data;
    int64_t now = line_now(line);
    if (line->plays) { /* what has been written already sounds from here on: it lies there by then, see speak() */
        arm_timer(line);
        return 0;
    }
    line->base = now > line->deaf_until ? now : line->deaf_until;
    line->heard = line->taken = line->moved_at = line->moved_by = 0;
    line->stalled = false;
    line->armed_ns = INT64_MAX; /* nothing that stood before counts */
    arm_timer(line);
    return 0;
}

static int line_stop(snd_pcm_ioplug_t *io)
{
    struct line *line = io->private_data; /* the line lives on */
    off_t sounded = line->plays ? line_now(line) * line->channels * (off_t)sizeof(int16_t) : 0;
    off_t written = line->plays ? lseek(line->spoken, 0, SEEK_END) : 0;
    return line->plays && sounded < written && ftruncate(line->spoken, sounded) < 0 ? -errno : 0;
}

/* Of an output: wait until all has sounded. */
static int line_drain(snd_pcm_ioplug_t *io)
{
    struct line *line = io->private_data;
    while (line->plays && line_now(line) < line->base + line->taken)
        usleep(10000);
    return 0;
}

static int line_prepare(snd_pcm_ioplug_t *io)
{
    struct line *line = io->private_data;
    line->heard = line->taken = 0;
    return knob(line, "unplugged") ? -ENODEV : 0;
}

/* Copy `frames` line frames from the feed; 0 or -EIO. Beyond its end is silence. */
static int hear(const struct line *line, int64_t first, int64_t frames, char *out)
{
    size_t frame_bytes = line->channels * sizeof(int16_t);
    bool silence = knob(line, "silence");
    while (frames > 0) {
        int64_t at = line->repeat && line->feed_frames > 0 ? first % line->feed_frames : first;
        int64_t piece = frames;
        if (silence || at >= line->feed_frames) {
            memset(out, 0, piece * frame_bytes);
        } else {
            if (piece > line->feed_frames - at)
                piece = line->feed_frames - at;
            ssize_t bytes = piece * frame_bytes;
            if (pread(line->feed, out, bytes, at * frame_bytes) != bytes)
                return -EIO;
        }
        first += piece;
        frames -= piece;
        out += piece * frame_bytes;
    }
    return 0;
}

/* Add what is played into the line at this moment. Beyond the end of "spoken", and in its holes, nothing is. */
static int hear_output(const struct line *line, int64_t first, int64_t frames, char *out)
{
    size_t frame_bytes = line->channels * sizeof(int16_t);
    int16_t spoken[4096], *heard = (int16_t *)out;
    if (line->echo == 0 || lseek(line->spoken, 0, SEEK_END) <= (off_t)(first * frame_bytes) || knob(line, "decoupled"))
        return 0;
    int64_t left = frames * line->channels;
    for (off_t at = first * frame_bytes; left > 0;) {
        ssize_t bytes = pread(line->spoken, spoken, left < 4096 ? left * sizeof(int16_t) : sizeof(spoken), at);
        if (bytes <= 0)
            return bytes < 0 ? -EIO : 0;
        for (size_t i = 0; i < bytes / sizeof(int16_t); i++) {
            double sum = heard[i] + line->echo * spoken[i];
            heard[i] = sum > INT16_MAX ? INT16_MAX : sum < INT16_MIN ? INT16_MIN : (int16_t)sum;
        }
        heard += bytes / sizeof(int16_t), left -= bytes / sizeof(int16_t), at += bytes;
    }
    return 0;
}

/* Put the next frames of the output where they will sound. The first of them sounds now. */
static snd_pcm_sframes_t speak(struct line *line, const char *frames, snd_pcm_uframes_t size)
{
    size_t frame_bytes = line->channels * sizeof(int16_t);
    ssize_t bytes = size * frame_bytes;
    if (line->taken == 0)
        line->base = line_now(line);
    if (pwrite(line->spoken, frames, bytes, (line->base + line->taken) * frame_bytes) != bytes)
        return -EIO;
    line->taken += size;
    arm_timer(line);
    return size;
}

static snd_pcm_sframes_t line_transfer(snd_pcm_ioplug_t *io, const snd_pcm_channel_area_t *areas,
                                       snd_pcm_uframes_t offset, snd_pcm_uframes_t size)
{
    struct line *line = io->private_data;
    if (io->state == SND_PCM_STATE_DISCONNECTED)
        return -ENODEV;
    char *out = (char *)areas[0].addr + (areas[0].first + areas[0].step * offset) / 8;
    if (line->plays)
        return speak(line, out, size);
    int64_t frames = size;
    if (line->taken < line->moved_at && line->taken + frames > line->moved_at)
        frames = line->moved_at - line->taken; /* one piece on each side of a stall */
    int64_t first = line_frame_of(line, line->taken);
    int trouble = hear(line, first, frames, out);
    if (trouble == 0)
        trouble = hear_output(line, first, frames, out);
    if (trouble < 0)
        return trouble;
    line->taken += frames;
    arm_timer(line);
    return frames;
}

/* The timer fired: is that enough frames, or an end? */
static int line_poll_revents(snd_pcm_ioplug_t *io, struct pollfd *fds, unsigned int count, unsigned short *revents)
{
    struct line *line = io->private_data;
    (void)fds, (void)count;
    if (line_pointer(io) < 0)
        snd_pcm_ioplug_set_state(io, SND_PCM_STATE_XRUN);
    int64_t room = line->heard - line->taken + (line->plays ? (int64_t)io->buffer_size : 0);
    unsigned short ready = line->plays ? POLLOUT : POLLIN;
    *revents = room >= line->avail_min ? ready : 0;
    if (io->state == SND_PCM_STATE_XRUN || io->state == SND_PCM_STATE_DISCONNECTED)
        *revents = ready | POLLERR;
    return 0;
}

static int line_sw_params(snd_pcm_ioplug_t *io, snd_pcm_sw_params_t *params)
{
    struct line *line = io->private_data;
    snd_pcm_uframes_t avail_min;
    snd_pcm_sw_params_get_avail_min(params, &avail_min);
    line->avail_min = avail_min > 0 ? (int64_t)avail_min : 1;
    return 0;
}

static void hang_up(struct line *line)
{
    int fds[] = {line->feed, line->knobs, line->in_use, line->spoken, line->io.poll_fd};
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
        close(fds[i]); /* -1 where we did not get that far: refused, no harm */
    free(line);
}

static int line_close(snd_pcm_ioplug_t *io)
{
    hang_up(io->private_data);
    return 0;
}

static const snd_pcm_ioplug_callback_t callbacks = {
    .start = line_start,
    .stop = line_stop,
    .drain = line_drain,
    .pointer = line_pointer,
    .transfer = line_transfer,
    .prepare = line_prepare,
    .sw_params = line_sw_params,
    .poll_revents = line_poll_revents,
    .close = line_close,
};

/* When frame 0 is heard: as written at the very first open. A time that lies ahead is from before a reboot. */
static int read_or_write_start(struct line *line)
{
    line->started_ns = knob_number(line, "started");
    if (line->started_ns >= 0 && line->started_ns <= now_ns())
        return 0;
    line->started_ns = now_ns();
    int fd = openat(line->knobs, "started.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    dprintf(fd, "%" PRId64 "\n", line->started_ns); /* nobody else writes: see find_start() */
    close(fd);
    return renameat(line->knobs, "started.new", line->knobs, "started") < 0 ? -errno : 0;
}

/* Input and output may be opened at the same moment, and have one line. */
static int find_start(struct line *line)
{
    if (flock(line->knobs, LOCK_EX) < 0)
        return -errno;
    int trouble = read_or_write_start(line);
    flock(line->knobs, LOCK_UN);
    return trouble;
}

/* Everything that opening can refuse, in the order in which a real card would. */
static int pick_up(struct line *line, const char *feed, const char *knobs)
{
    if ((line->knobs = open(knobs, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        return -errno;
    if (knob(line, "unplugged"))
        return -ENODEV;
    if (knob(line, "busy"))
        return -EBUSY;
    const char *in_use = line->plays ? "output-in-use" : "in-use";
    if ((line->in_use = openat(line->knobs, in_use, O_RDWR | O_CREAT | O_CLOEXEC, 0644)) < 0)
        return -errno;
    if (flock(line->in_use, LOCK_EX | LOCK_NB) < 0)
        return -EBUSY;
    if ((line->feed = open(feed, O_RDONLY | O_CLOEXEC)) < 0)
        return -errno;
    if ((line->spoken = openat(line->knobs, "spoken", O_RDWR | O_CREAT | O_CLOEXEC, 0644)) < 0)
        return -errno;
    line->feed_frames = lseek(line->feed, 0, SEEK_END) / (line->channels * sizeof(int16_t));
    if ((line->io.poll_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)) < 0)
        return -errno;
    return find_start(line);
}

/* One format, one rate, the given channels: whoever wants another gets an error, as from a bare hw: device. */
static int tell_what_we_can(struct line *line)
{
    unsigned int frame_bytes = line->channels * sizeof(int16_t);
    const struct {
        int what;
        unsigned int least, most;
    } limits[] = {
        {SND_PCM_IOPLUG_HW_CHANNELS, line->channels, line->channels},
        {SND_PCM_IOPLUG_HW_RATE, line->rate, line->rate},
        {SND_PCM_IOPLUG_HW_PERIOD_BYTES, 32 * frame_bytes, 65536 * frame_bytes},
        {SND_PCM_IOPLUG_HW_BUFFER_BYTES, 64 * frame_bytes, 1048576 * frame_bytes},
        {SND_PCM_IOPLUG_HW_PERIODS, 2, 1024},
    };
    static const unsigned int access = SND_PCM_ACCESS_RW_INTERLEAVED, format = SND_PCM_FORMAT_S16_LE;
    int err = snd_pcm_ioplug_set_param_list(&line->io, SND_PCM_IOPLUG_HW_ACCESS, 1, &access);
    if (err >= 0)
        err = snd_pcm_ioplug_set_param_list(&line->io, SND_PCM_IOPLUG_HW_FORMAT, 1, &format);
    for (size_t i = 0; err >= 0 && i < sizeof(limits) / sizeof(limits[0]); i++)
        err = snd_pcm_ioplug_set_param_minmax(&line->io, limits[i].what, limits[i].least, limits[i].most);
    return err;
}

/* One setting of the pcm.NAME block. Negative if its name is unknown or its value of the wrong kind. */
static int read_setting(struct line *line, snd_config_t *entry, const char *id, const char **feed, const char **knobs)
{
    long number = 0;
    if (!strcmp(id, "feed"))
        return snd_config_get_string(entry, feed);
    if (!strcmp(id, "knobs"))
        return snd_config_get_string(entry, knobs);
    if (!strcmp(id, "speed"))
        return snd_config_get_ireal(entry, &line->speed);
    if (!strcmp(id, "echo"))
        return snd_config_get_ireal(entry, &line->echo);
    if (snd_config_get_integer(entry, &number) < 0)
        return -EINVAL;
    if (!strcmp(id, "channels"))
        line->channels = number;
    else if (!strcmp(id, "rate"))
        line->rate = number;
    else if (!strcmp(id, "repeat"))
        line->repeat = number != 0;
    else
        return -EINVAL;
    return 0;
}

static int read_settings(struct line *line, snd_config_t *conf, const char **feed, const char **knobs)
{
    snd_config_iterator_t i, next;
    snd_config_for_each(i, next, conf) {
        snd_config_t *entry = snd_config_iterator_entry(i);
        const char *id;
        if (snd_config_get_id(entry, &id) == 0 && strcmp(id, "type") != 0 &&
            read_setting(line, entry, id, feed, knobs) < 0) {
            SNDERR("linekeep_line: setting %s cannot be used", id);
            return -EINVAL;
        }
    }
    if (*feed && *knobs && line->channels >= 1 && line->channels <= 64 && line->rate >= 1 && line->speed > 0)
        return 0;
    SNDERR("linekeep_line: feed and knobs are needed; channels, rate and speed must be above 0");
    return -EINVAL;
}

SND_PCM_PLUGIN_DEFINE_FUNC(linekeep_line)
{
    const char *feed = NULL, *knobs = NULL;
    (void)root;
    struct line *line = calloc(1, sizeof(*line));
    if (!line)
        return -ENOMEM;
    line->feed = line->knobs = line->in_use = line->spoken = line->io.poll_fd = -1;
    line->channels = 1, line->rate = 8000, line->speed = 1.0, line->avail_min = 1;
    line->plays = stream == SND_PCM_STREAM_PLAYBACK;
    int err = read_settings(line, conf, &feed, &knobs);
    if (err == 0)
        err = pick_up(line, feed, knobs);
    if (err == 0) {
        line->io.version = SND_PCM_IOPLUG_VERSION;
        line->io.name = "Linekeep simulated line";
        line->io.callback = &callbacks;
        line->io.private_data = line;
        line->io.poll_events = POLLIN; /* of the timer */
        err = snd_pcm_ioplug_create(&line->io, name, stream, mode);
    }
    if (err < 0) {
        hang_up(line);
        return err;
    }
    if ((err = tell_what_we_can(line)) < 0) {
        snd_pcm_ioplug_delete(&line->io); /* calls line_close */
        return err;
    }
    *pcmp = line->io.pcm;
    return 0;
}

SND_PCM_PLUGIN_SYMBOL(linekeep_line);
