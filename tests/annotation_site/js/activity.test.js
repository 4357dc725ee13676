// Active seconds with a clock that the test moves.

import {createActivity} from '/static/annotation/activity.js';

function begin({from = 0, hidden = false} = {}) {
  Object.defineProperty(document, 'hidden', {configurable: true, get: () => hidden});
  let time = 0;
  const activity = createActivity(() => time);
  activity.reset(from);
  return {
    seconds: activity.seconds,
    sign: () => dispatchEvent(new Event('wheel')),
    hide: (value) => { activity.seconds(); hidden = value; },
    /** Seconds that pass as on a page that is awake: a tick each. */
    pass(count) { for (let n = 0; n < count; n += 1) { time += 1000; activity.seconds(); } },
    sleep(count) { time += count * 1000; },
  };
}

export function testTimeCountsForAMinuteAfterTheLastSignOfLife(equal) {
  const page = begin();
  page.pass(30);
  equal(page.seconds(), 30);
  page.sign();
  page.pass(200);
  equal(page.seconds(), 30 + 59);
  page.sign();
  page.pass(1);
  equal(page.seconds(), 30 + 59 + 1);
}

export function testAHiddenPageCountsNothing(equal) {
  const page = begin();
  page.pass(10);
  page.hide(true);
  page.pass(10);
  page.hide(false);
  page.pass(10);
  equal(page.seconds(), 20);
}

export function testAComputerThatSleptCountsNoMoreThanTwoSeconds(equal) {
  const page = begin();
  page.pass(5);
  page.sleep(50);
  equal(page.seconds(), 7);
}

export function testEarlierVisitsCount(equal) {
  const page = begin({from: 100});
  page.pass(3);
  equal(page.seconds(), 103);
}
