"""Two steps: words are shown, then asked for. Nothing is the box's own before the second; one without a key is said."""

from __future__ import annotations

import msgspec
import pytest

from appliance.audit.events import Act
from appliance.boundary import verbs
from appliance.terms import KeyTrouble, NotAllowed
from appliance.vault.accounts import WrongPassword
from appliance.vault.box import Box
from appliance.vault.recovery.copy import open_copy, parse_copy
from appliance.vault.recovery.set_up import PENDING_LASTS_S, NothingPending, WordsDiffer
from appliance.vault.recovery.words import WordsWrong, key_of
from appliance.vault.ring_folder import RECOVERY_COPY
from tests.vault.box_house import PASSWORD, BoxHouse, acts_of, contents_of, kept_call
from tests.vault.recovery.paper import asked_for, begun, owner_of, written_down


def copy_bytes(box: Box) -> bytes | None:
    path = box.settings.state / "ring" / RECOVERY_COPY
    return path.read_bytes() if path.exists() else None


def test_a_new_box_has_not_decided_and_has_no_copy(house: BoxHouse) -> None:
    with house.opened() as box:
        assert box.recovery.choice() is verbs.RecoveryChoice.OPEN
        assert copy_bytes(box) is None


def test_words_that_were_asked_for_make_the_key_the_boxs_own(house: BoxHouse) -> None:
    with house.opened() as box:
        sheets = written_down(box, needed=2, sheets=3)
        state = box.recovery.state(owner_of(box))
        assert (state.choice, state.needed, state.sheets, state.asked) == (verbs.RecoveryChoice.KEY, 2, 3, ())
        assert open_copy(parse_copy(copy_bytes(box) or b""), key_of(sheets)) == box.ring.contents
        assert acts_of(box).count(Act.RECOVERY_SET_UP) == 1
    with house.opened() as box:
        assert box.recovery.choice() is verbs.RecoveryChoice.KEY


def test_no_word_is_written_anywhere(house: BoxHouse) -> None:
    with house.opened() as box:
        sheets = written_down(box)
        kept_call(box)
    secret = key_of(sheets).secret
    for name, content in contents_of(house.settings().state).items():
        assert secret not in content, name
        assert sheets[0].encode()[:40] not in content, name


def test_every_sheet_is_asked_about(house: BoxHouse) -> None:
    with house.opened() as box:
        owner = owner_of(box)
        begun(box, owner, needed=2, sheets=4)
        assert [asked.sheet for asked in box.recovery.state(owner).asked] == [1, 1, 2, 2, 3, 3, 4, 4]
        begun(box, owner)
        assert len({asked.word for asked in box.recovery.state(owner).asked}) == 4


def test_wrong_words_change_nothing_and_may_be_typed_again(house: BoxHouse) -> None:
    with house.opened() as box:
        owner = owner_of(box)
        sheets, ring = begun(box, owner), box.ring.contents
        right = asked_for(box, owner, sheets)
        for wrong in (right[:-1], [*right[:-1], "academic"], [], [*right, "academic"]):
            if wrong != right:
                with pytest.raises(WordsDiffer):
                    box.recovery.confirm(owner, wrong)
        assert (copy_bytes(box), box.ring.contents) == (None, ring)
        for _ in range(2):  # the second time as after an answer that was lost
            box.recovery.confirm(owner, [f" {word.upper()} " for word in right])
        assert copy_bytes(box) is not None
        assert acts_of(box).count(Act.RECOVERY_SET_UP) == 1


def test_words_shown_and_never_confirmed_are_gone_with_the_start_the_time_or_another_showing(house: BoxHouse) -> None:
    with house.opened() as box:
        owner = owner_of(box)
        begun(box, owner)
    with house.opened() as box:
        with pytest.raises(NothingPending):
            box.recovery.confirm(owner, ["academic"] * 4)
        first = begun(box, owner)
        begun(box, owner)
        with pytest.raises(WordsDiffer):
            box.recovery.confirm(owner, asked_for(box, owner, first))
        steady = box.recovery._steady_s
        box.recovery._steady_s = lambda: steady() + PENDING_LASTS_S
        with pytest.raises(NothingPending):
            box.recovery.confirm(owner, ["academic"] * 4)
        assert box.recovery.choice() is verbs.RecoveryChoice.OPEN


def test_words_that_nobody_confirms_leave_the_memory_when_their_hour_is_over(house: BoxHouse) -> None:
    with house.opened() as box:
        begun(box, owner_of(box))
        box.recovery.drop_unconfirmed()
        assert box.recovery._pending is not None
        steady = box.recovery._steady_s
        box.recovery._steady_s = lambda: steady() + PENDING_LASTS_S
        box.recovery.drop_unconfirmed()
        assert box.recovery._pending is None


def test_a_key_that_was_shown_to_one_person_is_not_confirmed_by_another(house: BoxHouse) -> None:
    with house.opened() as box:
        owner = owner_of(box)
        sheets = begun(box, owner)
        another = msgspec.convert({"account": "ff" * 8, "name": "B", "rights": list(owner.rights)}, type(owner))
        assert box.recovery.state(another).asked == ()
        with pytest.raises(NothingPending):
            box.recovery.confirm(another, asked_for(box, owner, sheets))


def test_a_login_alone_gets_no_words_and_declines_nothing(house: BoxHouse) -> None:
    with house.opened() as box:
        owner = owner_of(box)
        request = verbs.BeginRecovery(login="x" * 43, password="not " + PASSWORD, needed=1, sheets=1)
        with pytest.raises(WrongPassword):
            box.recovery.begin(owner, request)
        with pytest.raises(NotAllowed):  # guesses are paced
            box.recovery.decline(owner, "not that either")
        assert box.recovery.choice() is verbs.RecoveryChoice.OPEN


def test_who_lacks_the_right_is_refused(house: BoxHouse) -> None:
    with house.opened() as box:
        guest = msgspec.convert({"account": "ff" * 8, "name": "B", "rights": []}, type(owner_of(box)))
        for ask in (lambda: box.recovery.state(guest), lambda: box.recovery.decline(guest, PASSWORD)):
            with pytest.raises(NotAllowed):
                ask()


def test_to_have_none_is_written_down_and_takes_the_copy_away(house: BoxHouse) -> None:
    with house.opened() as box:
        written_down(box)
        box.recovery.decline(owner_of(box), PASSWORD)
        assert box.recovery.choice() is verbs.RecoveryChoice.NONE
        assert copy_bytes(box) is None
        assert Act.RECOVERY_DECLINED in acts_of(box)
    with house.opened() as box:
        assert box.recovery.choice() is verbs.RecoveryChoice.NONE


def test_words_of_a_key_that_was_replaced_do_not_open_the_present_copy(house: BoxHouse) -> None:
    with house.opened() as box:
        old, new = written_down(box), written_down(box)
        copy = parse_copy(copy_bytes(box) or b"")
        with pytest.raises(WordsWrong, match="a recovery key that this box had"):
            open_copy(copy, key_of(old))
        assert open_copy(copy, key_of(new)) == box.ring.contents


def test_a_drill_counts_from_the_present_key_on(house: BoxHouse) -> None:
    with house.opened() as box:
        written_down(box)
        house.hands.pass_s(60)
        box.recovery.note_drill(kept_call(box))
        assert box.recovery.state(owner_of(box)).drilled_at_ms == house.hands.wall_ms
        assert Act.RECOVERY_DRILLED in acts_of(box)
    with house.opened() as box:
        assert box.recovery.state(owner_of(box)).drilled_at_ms == house.hands.wall_ms
        house.hands.pass_s(60)
        written_down(box)
        assert box.recovery.state(owner_of(box)).drilled_at_ms == 0


def test_a_division_that_makes_no_sense_is_refused(house: BoxHouse) -> None:
    with house.opened() as box, pytest.raises(KeyTrouble, match="one sheet, or up to 16"):
        begun(box, owner_of(box), needed=1, sheets=2)
