/*
 * The mixer of a sound card for ALSA: each control is a file, which tests write and read.
 *
 *     ctl_type.linekeep_card { lib "/path/of/this.so" }
 *     ctl.NAME { type linekeep_card  controls "/path/dir" }
 *
 * A file has the control's name ("Mic Capture Volume") and one line:
 *     volume VALUE MOST LEAST_DB STEP_DB    from 0 to MOST; LEAST_DB is that of 0, both in hundredths of a dB
 *     switch VALUE
 *     choice VALUE ITEM|ITEM|...
 * Which there are is looked up when the mixer is opened; what they say, each time.
 */
#include <alsa/asoundlib.h>
#include <alsa/control_external.h>
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONTROLS 64
#define TEXT 256

struct card {
    snd_ctl_ext_t ext;
    char folder[1024];
    char names[CONTROLS][64];
    int count;
};

struct control {
    char kind[8];
    long value, most;
    int least_db, step_db;
    char items[TEXT];
};

static FILE *control_file(const struct card *card, snd_ctl_ext_key_t key, const char *mode)
{
    char path[1200];
    snprintf(path, sizeof(path), "%s/%s", card->folder, card->names[key]);
    return fopen(path, mode);
}

static int read_control(const struct card *card, snd_ctl_ext_key_t key, struct control *control)
{
    char line[TEXT + 64] = "";
    FILE *file = control_file(card, key, "r");
    memset(control, 0, sizeof(*control));
    if (file == NULL)
        return -EIO;
    bool whole = fgets(line, sizeof(line), file) != NULL;
    fclose(file);
    if (!whole || sscanf(line, "%7s %ld", control->kind, &control->value) != 2)
        return -EIO;
    if (strcmp(control->kind, "volume") == 0)
        sscanf(line, "%*s %*d %ld %d %d", &control->most, &control->least_db, &control->step_db);
    else if (strcmp(control->kind, "choice") == 0)
        sscanf(line, "%*s %*d %255[^\n]", control->items);
    else
        control->most = 1;
    return 0;
}

static int write_control(const struct card *card, snd_ctl_ext_key_t key, long value)
{
    struct control control;
    int trouble = read_control(card, key, &control);
    FILE *file = trouble < 0 ? NULL : control_file(card, key, "w");
    if (file == NULL)
        return -EIO;
    fprintf(file, "%s %ld", control.kind, value);
    if (strcmp(control.kind, "volume") == 0)
        fprintf(file, " %ld %d %d", control.most, control.least_db, control.step_db);
    if (strcmp(control.kind, "choice") == 0)
        fprintf(file, " %s", control.items);
    fprintf(file, "\n");
    fclose(file);
    return control.value != value;
}

static int elem_count(snd_ctl_ext_t *ext)
{
    return ((struct card *)ext->private_data)->count;
}

static int elem_list(snd_ctl_ext_t *ext, unsigned int offset, snd_ctl_elem_id_t *id)
{
    snd_ctl_elem_id_set_interface(id, SND_CTL_ELEM_IFACE_MIXER);
    snd_ctl_elem_id_set_name(id, ((struct card *)ext->private_data)->names[offset]);
    return 0;
}

static snd_ctl_ext_key_t find_elem(snd_ctl_ext_t *ext, const snd_ctl_elem_id_t *id)
{
    const struct card *card = ext->private_data;
    for (int key = 0; key < card->count; key++)
        if (strcmp(card->names[key], snd_ctl_elem_id_get_name(id)) == 0)
            return key;
    return SND_CTL_EXT_KEY_NOT_FOUND;
}

static int get_attribute(snd_ctl_ext_t *ext, snd_ctl_ext_key_t key, int *type, unsigned int *acc, unsigned int *count)
{
    struct control control;
    int trouble = read_control(ext->private_data, key, &control);
    *count = 1;
    *acc = SND_CTL_EXT_ACCESS_READWRITE;
    *type = SND_CTL_ELEM_TYPE_BOOLEAN;
    if (strcmp(control.kind, "choice") == 0)
        *type = SND_CTL_ELEM_TYPE_ENUMERATED;
    if (strcmp(control.kind, "volume") == 0) {
        *type = SND_CTL_ELEM_TYPE_INTEGER;
        *acc |= SND_CTL_EXT_ACCESS_TLV_READ | SND_CTL_EXT_ACCESS_TLV_CALLBACK;
    }
    return trouble;
}

static int get_integer_info(snd_ctl_ext_t *ext, snd_ctl_ext_key_t key, long *imin, long *imax, long *istep)
{
    struct control control;
    int trouble = read_control(ext->private_data, key, &control);
    *imin = 0, *imax = control.most, *istep = 1;
    return trouble;
}

/* The item of this number, or the number of items if there is none of it. */
static unsigned int item(char *items, unsigned int number, char **found)
{
    unsigned int at = 0;
    char *left = items;
    for (*found = strsep(&left, "|"); *found != NULL; *found = strsep(&left, "|"))
        if (at++ == number)
            break;
    return at;
}

static int get_enumerated_info(snd_ctl_ext_t *ext, snd_ctl_ext_key_t key, unsigned int *items)
{
    struct control control;
    char *none;
    int trouble = read_control(ext->private_data, key, &control);
    *items = item(control.items, CONTROLS, &none);
    return trouble;
}

static int get_enumerated_name(snd_ctl_ext_t *ext, snd_ctl_ext_key_t key, unsigned int number, char *name, size_t max)
{
    struct control control;
    char *found = NULL;
    int trouble = read_control(ext->private_data, key, &control);
    item(control.items, number, &found);
    if (trouble < 0 || found == NULL)
        return -EINVAL;
    snprintf(name, max, "%s", found);
    return 0;
}

static int read_integer(snd_ctl_ext_t *ext, snd_ctl_ext_key_t key, long *value)
{
    struct control control;
    int trouble = read_control(ext->private_data, key, &control);
    *value = control.value;
    return trouble;
}

static int write_integer(snd_ctl_ext_t *ext, snd_ctl_ext_key_t key, long *value)
{
    return write_control(ext->private_data, key, *value);
}

static int read_enumerated(snd_ctl_ext_t *ext, snd_ctl_ext_key_t key, unsigned int *number)
{
    struct control control;
    int trouble = read_control(ext->private_data, key, &control);
    *number = control.value;
    return trouble;
}

static int write_enumerated(snd_ctl_ext_t *ext, snd_ctl_ext_key_t key, unsigned int *number)
{
    return write_control(ext->private_data, key, *number);
}

static int tell_db(snd_ctl_ext_t *ext, snd_ctl_ext_key_t key, int op, unsigned int numid, unsigned int *tlv,
                   unsigned int size)
{
    struct control control;
    (void)numid;
    if (op != 0 || size < 4 * sizeof(*tlv) || read_control(ext->private_data, key, &control) < 0)
        return -EINVAL;
    tlv[0] = SND_CTL_TLVT_DB_SCALE, tlv[1] = 2 * sizeof(*tlv);
    tlv[2] = control.least_db, tlv[3] = control.step_db;
    return 0;
}

static int read_event(snd_ctl_ext_t *ext, snd_ctl_elem_id_t *id, unsigned int *mask)
{
    (void)ext, (void)id, (void)mask;
    return -EAGAIN;
}

static void close_card(snd_ctl_ext_t *ext)
{
    free(ext->private_data);
}

static const snd_ctl_ext_callback_t callbacks = {
    .close = close_card,
    .elem_count = elem_count,
    .elem_list = elem_list,
    .find_elem = find_elem,
    .get_attribute = get_attribute,
    .get_integer_info = get_integer_info,
    .get_enumerated_info = get_enumerated_info,
    .get_enumerated_name = get_enumerated_name,
    .read_integer = read_integer,
    .write_integer = write_integer,
    .read_enumerated = read_enumerated,
    .write_enumerated = write_enumerated,
    .read_event = read_event,
};

SND_CTL_PLUGIN_DEFINE_FUNC(linekeep_card)
{
    const char *folder = NULL;
    snd_config_t *found;
    (void)root;
    if (snd_config_search(conf, "controls", &found) < 0 || snd_config_get_string(found, &folder) < 0)
        return -EINVAL;
    DIR *listing = opendir(folder);
    if (listing == NULL)
        return -ENODEV;
    struct card *card = calloc(1, sizeof(*card));
    if (card == NULL) {
        closedir(listing);
        return -ENOMEM;
    }
    snprintf(card->folder, sizeof(card->folder), "%s", folder);
    for (struct dirent *entry = readdir(listing); entry != NULL && card->count < CONTROLS; entry = readdir(listing))
        if (entry->d_name[0] != '.')
            snprintf(card->names[card->count++], sizeof(card->names[0]), "%.63s", entry->d_name);
    closedir(listing);
    card->ext.version = SND_CTL_EXT_VERSION;
    card->ext.card_idx = 0;
    strcpy(card->ext.id, "linekeep");
    strcpy(card->ext.driver, "linekeep");
    strcpy(card->ext.name, "simulated card");
    strcpy(card->ext.longname, "simulated card");
    strcpy(card->ext.mixername, "simulated card");
    card->ext.poll_fd = -1;
    card->ext.callback = &callbacks;
    card->ext.private_data = card;
    card->ext.tlv.c = tell_db;
    int outcome = snd_ctl_ext_create(&card->ext, name, mode);
    if (outcome < 0)
        free(card);
    else
        *handlep = card->ext.handle;
    return outcome;
}

SND_CTL_PLUGIN_SYMBOL(linekeep_card);
