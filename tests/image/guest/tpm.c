/* A TPM for a machine whose kernel has no driver for QEMU's: carries what the kernel asks through a port to swtpm.
 *
 * Debian's arm64 kernel is built without CONFIG_TCG_TIS, so it cannot see QEMU's tpm-tis-device; a Pi's TPM hangs on SPI.
 * Its tpm_vtpm_proxy gives a program a /dev/tpm0 to play (kernel documentation, security/tpm/tpm_vtpm_proxy). The keys are
 * in swtpm, outside, as with a real chip. Runs from the initrd on, through the change of root.
 * A command and its answer begin with tag and length (TPM 2.0 Part 1, 18.2 and 18.6).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vtpm_proxy.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { HEADER = 10, MOST = 4096 };

/* udev makes the port when it gets there. */
static int opened(const char *port)
{
	for (int tries = 0; tries < 3000; tries++) {
		int fd = open(port, O_RDWR | O_CLOEXEC);
		if (fd >= 0)
			return fd;
		usleep(20000);
	}
	exit(1);
}

static void written(int fd, const uint8_t *from, size_t bytes)
{
	while (bytes > 0) {
		ssize_t done = write(fd, from, bytes);
		if (done <= 0)
			exit(2);
		from += done;
		bytes -= done;
	}
}

static void filled(int fd, uint8_t *to, size_t bytes)
{
	while (bytes > 0) {
		ssize_t done = read(fd, to, bytes);
		if (done <= 0)
			exit(3);
		to += done;
		bytes -= done;
	}
}

int main(int argc, char **argv)
{
	struct vtpm_proxy_new_dev device = { .flags = VTPM_PROXY_FLAG_TPM2 };
	uint8_t message[MOST];
	if (argc != 2)
		return 4;
	int port = opened(argv[1]), proxies = open("/dev/vtpmx", O_RDWR | O_CLOEXEC);
	if (proxies < 0 || ioctl(proxies, VTPM_PROXY_IOC_NEW_DEV, &device) < 0)
		return 5;
	for (;;) {
		ssize_t asked = read(device.fd, message, MOST);
		/* At the change of root all processes are stopped and go on, which this read does not hide. */
		if (asked < 0 && errno == EINTR)
			continue;
		if (asked < HEADER)
			return 6;
		written(port, message, asked);
		filled(port, message, HEADER);
		uint32_t length = (uint32_t)message[2] << 24 | message[3] << 16 | message[4] << 8 | message[5];
		if (length < HEADER || length > MOST)
			return 7;
		filled(port, message + HEADER, length - HEADER);
		/* The kernel takes an answer in one piece. */
		if (write(device.fd, message, length) != (ssize_t)length)
			return 8;
	}
}
