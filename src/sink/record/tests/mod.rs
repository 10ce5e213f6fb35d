mod crash;
mod film;
mod journal;
mod live;
mod players;
