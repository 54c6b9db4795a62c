//! A shop that writes its orders to Kafka and bills them.
//!
//! It talks to Kafka through two traits of its own. In production they are rdkafka, in tests Ackproof's clients.

use std::future::Future;
use std::time::Duration;

/// Where orders are written.
pub trait Orders {
    /// Writes an order, and returns when Kafka has acknowledged it.
    fn put(&self, order: &str) -> impl Future<Output = Result<(), String>>;
}

/// Where orders are read, as a member of a group.
pub trait Inbox {
    /// An order as it was read.
    type Order;
    /// The next orders, perhaps none.
    fn poll(&self) -> impl Future<Output = Vec<Self::Order>>;
    /// What the customer wrote.
    fn text(order: &Self::Order) -> String;
    /// The order has been billed. Only tests want to know.
    fn billed(&self, order: &Self::Order);
    /// Commits everything that was polled.
    fn commit(&self) -> impl Future<Output = ()>;
}

/// Takes an order. `true`: the customer is told that it will be delivered.
pub async fn take(orders: &impl Orders, order: &str) -> bool {
    orders.put(order).await.is_ok()
}

/// Bills orders for as long as it lives.
pub async fn bill_all<I: Inbox>(inbox: I, bill: impl Fn(String)) {
    loop {
        for order in inbox.poll().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
            bill(I::text(&order));
            inbox.billed(&order);
        }
        inbox.commit().await;
    }
}
