"""What stands in HOW-TO-VERIFY.txt: the same check by hand. A test carries the commands out as they stand here."""

from __future__ import annotations

HOW_TO_VERIFY = """\
HOW TO VERIFY THIS EXPORT          (auf Deutsch: REPORT.de.html)

What may be in here

  calls/.../audio.ogg       the recording, as it was recorded
  calls/.../recording.json  what the box states about it: hashes, gaps, times, why and by whose consent it was recorded
  day.json                  what the box states about the line's whole day; missing if the day was not over
  access-log.json           who has opened these calls, from the box's journal, and what was exported
  receipts/...json          what the box states about deletions: which calls, why, when asked for, when done
  device.pem root.pem       the certificate of the key in the box's TPM, and the root that issued it
  *.attest *.sig            what the TPM said when it was shown each statement, and its signature
  verify.py                 checks all of this
  REPORT.*.html             explains it; not signed


With the program (Python 3.11 or later, and its package "cryptography")

  python3 verify.py EXPORT.zip --root "FINGERPRINT FROM THE LABEL"

It checks more than the commands below: the order of the gaps, the numbers of the day's calls without a hole, that no
call is missing, that no file was added. The verify.py in here may have been exchanged with the rest: take one that you
have from the box itself. access-log.json names its SHA-256; receipts alone have no access log.


With openssl alone (and a shell), in the folder into which the ZIP was unpacked

1. Is it this box? The root's fingerprint must be the one on the label, and the root must have issued the certificate
   of the key. Expected: the fingerprint, and "device.pem: OK". (Times are not looked at: whether the clock of the box
   was right on its first day says nothing about a signature.)

    openssl x509 -in root.pem -noout -fingerprint -sha256
    openssl verify -no_check_time -CAfile root.pem device.pem
    openssl x509 -in device.pem -noout -pubkey > key.pem

2. Has its TPM signed each statement? Expected: "Verified OK" for each. In bytes 45 to 76 of what the TPM said stands
   the SHA-256 of what it was shown; the statement must have this hash. Expected: "as signed" for each.

    for json in access-log.json day.json calls/*/recording.json receipts/*.json; do
      test -e "$json" || continue
      it="${json%.json}"
      openssl dgst -sha256 -verify key.pem -signature "$it.sig" "$it.attest"
      is=$(openssl dgst -sha256 -r "$json" | cut -c 1-64)
      was=$(tail -c +45 "$it.attest" | head -c 32 | od -An -v -tx1 | tr -d ' \\n')
      if test "$is" = "$was"; then echo "$json: as signed"; else echo "$json: CHANGED"; fi
    done

3. Is the audio the one of the statement, and is the statement the one that the day counts? Expected: "as recorded"
   and "counted in the day" for each call (the latter only if there is a day.json).

    for call in calls/*; do
      test -d "$call" || continue
      is=$(openssl dgst -sha256 -r "$call/audio.ogg" | cut -c 1-64)
      result=CHANGED
      grep -q "\\"audio_sha256\\":\\"$is\\"" "$call/recording.json" && result="as recorded"
      echo "$call: $result"
      test -e day.json || continue
      is=$(openssl dgst -sha256 -r "$call/recording.json" | cut -c 1-64)
      result="NOT COUNTED"
      grep -q "\\"statement_sha256\\":\\"$is\\"" day.json && result="counted in the day"
      echo "$call: $result"
    done

Statements that name another "box" than the root's fingerprint were signed by a former TPM of this box; its
certificates are then in the folder former/.
"""
